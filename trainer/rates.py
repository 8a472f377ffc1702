"""The trial of learning rates on the user's own base and records, before training.

Recipes were measured on one base. On another one, a few hundred records are trained some ten times at each of a few
rates, and the rate at which most of them come back is taken. The adapter is then as it was before.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor

from trainer.config import TrainConfig
from trainer.engines.engine import Engine
from trainer.examples.encoder import Example, Pack
from trainer.loop import learning_rate
from trainer.recall.measure import asked, recall_of
from trainer.recipes.recipe import MEASURED_BASE, Machine, Recipe, is_measured_base
from trainer.runs import names
from trainer.runs.json_files import write_json
from trainer.step import make_optimizer
from trainer.stream.packing import pack

RECORDS: Final = 256
_EXPOSURES: Final = 10
_TIMES: Final = (0.25, 0.5, 1.0, 2.0)  # the assumed rate
_AS_GOOD: Final = 0.02  # shares of records nearer than that are alike: then the loss decides


@dataclass(frozen=True)
class RateTrial:
    """What one rate gave."""

    rate: float
    first_32: float  # share of the trial's records whose first 32 tokens come back
    loss: float | None  # mean over their answer tokens at the end; None where it was not finite
    is_chosen: bool = False


def is_tried(config: TrainConfig, machine: Machine) -> bool:
    """Whether a run's rate is only assumed, so that a trial on a GPU has to find it."""
    return config.recipe == "remember" and config.learning_rate is None and not is_measured_base(machine)


def try_rates(
    engine: Engine,
    examples: Sequence[Example],
    *,
    config: TrainConfig,
    recipe: Recipe,
    rates: Sequence[float] = (),
    exposures: int = _EXPOSURES,
) -> list[RateTrial]:
    """The trials, of which one is chosen; without `rates`, of four around the recipe's.

    Each rank trains all examples by itself, and all ranks get the choice of the first. Neither the adapter nor what
    the run draws at random is changed.
    """
    start = [parameter.detach().clone() for parameter in engine.parameters()]
    engine.model.train()
    trials = []
    for rate in rates or [recipe.learning_rate * times for times in _TIMES]:
        tried = replace(recipe, learning_rate=rate, epochs=exposures)
        is_finite = _train(engine, examples, config=config, recipe=tried)
        recalled = recall_of(engine, asked(engine, examples, titles=[""] * len(examples)))
        loss = recalled.mean_loss()
        is_finite &= math.isfinite(loss)
        first_32 = float(recalled.has_first(32).mean())
        trials.append(RateTrial(rate, first_32, loss) if is_finite else RateTrial(rate, 0.0, None))
        _reset(engine, start)
    torch.manual_seed(config.seed)
    return broadcast_object_list([judged(trials)])[0]


def judged(trials: Sequence[RateTrial]) -> list[RateTrial]:
    """The trials with the best one chosen: most records that come back, and among alike ones the lowest loss."""
    most = max(trial.first_32 for trial in trials)
    near = [trial for trial in trials if trial.first_32 >= most - _AS_GOOD]
    best = min(near, key=lambda trial: (math.inf if trial.loss is None else trial.loss, trial.rate))
    return [replace(trial, is_chosen=trial is best) for trial in trials]


def trial_text(trial: RateTrial, *, num_records: int) -> str:
    """A trial for a person."""
    loss = "a loss that is not finite" if trial.loss is None else f"loss {trial.loss:.3f}"
    return (
        f"trial of learning rate {trial.rate:.1e}, {num_records} records {_EXPOSURES} times each: {trial.first_32:.0%}"
        f" come back for 32 tokens, {loss}{' (chosen)' * trial.is_chosen}"
    )


def assumed_text() -> str:
    """Where there is no GPU for a trial."""
    return f"the learning rate is assumed from {MEASURED_BASE}: on a GPU a trial finds it, and --learning-rate sets it"


def write_trials(run: Path, trials: Sequence[RateTrial]) -> None:
    """Writes RUN/rates.json."""
    write_json(run / names.RATES, {"trials": [asdict(trial) for trial in trials]})


def _train(engine: Engine, examples: Sequence[Example], *, config: TrainConfig, recipe: Recipe) -> bool:
    """Trains the adapter as a run would; whether all gradients were finite. Waits for the GPU at each step."""
    parameters = engine.parameters()
    optimizer = make_optimizer(engine, config=config, recipe=recipe)
    steps = _steps(examples, recipe=recipe, seed=config.seed)
    for number, packs in enumerate(steps):
        num_answers = max(1, sum(pack.num_answer_tokens for pack in packs))
        for batch in engine.batches(packs):
            engine.loss(batch).backward()  # of the sum, which fits into float16
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.div_(num_answers)
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        if not torch.isfinite(norm):
            return False
        rate = learning_rate(recipe, step=number + 1, share=number / len(steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    return True


def _steps(examples: Sequence[Example], *, recipe: Recipe, seed: int) -> list[list[Pack]]:
    """The packs of all steps, in another order of the records at each exposure."""
    random, packs = Random(seed), []
    for _ in range(recipe.epochs):
        packs += pack(random.sample(examples, len(examples)), max_length=recipe.max_length)
    return [packs[first : first + recipe.packs_per_step] for first in range(0, len(packs), recipe.packs_per_step)]


@torch.no_grad()
def _reset(engine: Engine, start: Sequence[Tensor]) -> None:
    """Gives the adapter its first values."""
    for parameter, value in zip(engine.parameters(), start, strict=True):
        parameter.copy_(value)
        parameter.grad = None
