"""One optimizer step over all ranks, launched without waiting for the GPU.

Its loss and gradient norm arrive later (`DeferredNumbers`). A gradient that is not finite therefore switches off all
updates on the GPU itself, from its own step on, until the loop has read the numbers and stops.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from accelerate import Accelerator
from torch import Tensor

from trainer.config import TrainConfig
from trainer.engines.engine import Engine
from trainer.muon import Muon
from trainer.recipes.recipe import Recipe
from trainer.runs.checkpoint import LossScale
from trainer.stream.packs import StepPacks

# As in torch.amp.
_FIRST_SCALE: Final = 2.0**16
_STEPS_TO_GROW: Final = 2_000


@dataclass(kw_only=True)
class TrainState:
    """What is trained, and what a step leaves for the next one."""

    engine: Engine
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    loss_scale: LossScale | None  # in float16 only
    has_diverged: Tensor  # on the device: 1 once a loss or a gradient was not finite, else 0


@dataclass(frozen=True)
class StepCounts:
    """What is in a step, over all ranks."""

    records: int
    tokens: int
    answer_tokens: int
    cut_records: int
    cut_tokens: int
    skipped_records: int  # that could not be read
    ranks_over: int  # that have no records left in this epoch
    ranks_failed: int  # that could not make their packs
    probes_due: int = 0  # ranks that want recall to be measured after this step
    saves_due: int = 0  # that want a checkpoint
    stops_due: int = 0  # that want to stop


@dataclass(frozen=True)
class Wishes:
    """What one rank wants to be done after a step. All ranks do it together, or none."""

    probe: bool = False
    save: bool = False
    stop: bool = False


@dataclass(frozen=True)
class DeferredNumbers:
    """Numbers on their way from the GPU."""

    numbers: Tensor
    arrival: torch.cuda.Event | None
    made_s: float = field(default_factory=time.perf_counter)

    def seconds_after(self, earlier: "DeferredNumbers") -> float:
        """The time between both arrivals, by the clock of the GPU where there is one. Call `get` before."""
        if self.arrival is None or earlier.arrival is None:
            return self.made_s - earlier.made_s
        return earlier.arrival.elapsed_time(self.arrival) / 1000

    def get(self) -> list[Any]:
        """The numbers. Waits only for the work that computes them, not for work that was launched later."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return self.numbers.tolist()


def timestamp(device: torch.device) -> DeferredNumbers:
    """The moment at which the device reaches this point of its work, to measure times from."""
    return _deferred(torch.zeros((), device=device))


def make_train_state(engine: Engine, accelerator: Accelerator, *, config: TrainConfig, recipe: Recipe) -> TrainState:
    """The recipe's optimizer on the engine's parameters, and a loss scale if the engine computes in float16."""
    return TrainState(
        engine=engine,
        optimizer=make_optimizer(engine, config=config, recipe=recipe),
        accelerator=accelerator,
        loss_scale=LossScale(_FIRST_SCALE) if engine.model.dtype == torch.float16 else None,
        has_diverged=torch.zeros((), device=accelerator.device),
    )


def make_optimizer(engine: Engine, *, config: TrainConfig, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer on the engine's parameters."""
    parameters, rate, decay = engine.parameters(), recipe.learning_rate, config.weight_decay
    if recipe.optimizer == "muon":
        return Muon(parameters, matrices=engine.matrices, lr=rate, weight_decay=decay)
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, recipe.adam_beta2), weight_decay=decay, fused=True)


def count_step(
    packs: StepPacks, accelerator: Accelerator, *, has_failed: bool = False, wishes: Wishes = Wishes()
) -> DeferredNumbers:
    """The numbers of `StepCounts`, over all ranks. Collective: a rank without packs calls it, too.

    A rank that could not make its packs reports it here (`has_failed`), because the other ranks wait for it. So does
    one that wants something to be done that all ranks do together.
    """
    examples = [example for pack in packs.packs for example in pack.examples]
    counts = torch.tensor(
        [
            len(examples),
            sum(pack.num_tokens for pack in packs.packs),
            sum(pack.num_answer_tokens for pack in packs.packs),
            sum(example.num_cut > 0 for example in examples),
            sum(example.num_cut for example in examples),
            packs.num_skipped,
            packs.is_over,
            has_failed,
            wishes.probe,
            wishes.save,
            wishes.stop,
        ]
    )
    if accelerator.num_processes == 1:
        return DeferredNumbers(counts, None)
    if accelerator.device.type == "cuda":
        counts = counts.pin_memory()
    return _deferred(accelerator.reduce(counts.to(accelerator.device, non_blocking=True), reduction="sum"))


def train_step(
    state: TrainState, batches: Sequence[Any], *, config: TrainConfig, counts: StepCounts, rate: float, step: int
) -> DeferredNumbers:
    """One update from the batches of all ranks. The numbers: the loss summed over answer tokens, the gradient's norm.

    Collective. In float16, gradients that overflow are computed again with a smaller loss scale, so that no record is
    left out. This costs one wait for the GPU in each step.
    """
    parameters = state.engine.parameters()
    while True:
        scale = state.loss_scale.value if state.loss_scale else 1.0
        seed = hash((config.seed, step, state.accelerator.process_index)) % 2**31
        torch.manual_seed(seed)  # of dropout: the same after a resume
        loss_sum = torch.zeros((), device=state.accelerator.device)
        for batch in batches:
            loss = state.engine.loss(batch)
            (loss * (scale / max(1, counts.answer_tokens))).backward()
            loss_sum += loss.detach()
        loss_sum = _sum_over_ranks(parameters, loss_sum, state.accelerator, scale=scale)
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        if state.loss_scale is None or scale <= 1 or math.isfinite(norm.item()):  # host sync, in float16 only
            break
        state.loss_scale = LossScale(scale / 2)
        state.optimizer.zero_grad()
    if state.loss_scale:
        state.loss_scale = _after_step(state.loss_scale)
    _update(state, rate=rate, is_wrong=~torch.isfinite(loss_sum + norm))
    return _deferred(torch.stack([loss_sum, norm]))


def _after_step(scale: LossScale) -> LossScale:
    """The scale, doubled when it was right for enough steps."""
    steps = scale.steps + 1
    return LossScale(scale.value * 2) if steps == _STEPS_TO_GROW else LossScale(scale.value, steps)


def _update(state: TrainState, *, rate: float, is_wrong: Tensor) -> None:
    """Updates the parameters, unless this step or an earlier one is wrong."""
    state.has_diverged = torch.maximum(state.has_diverged, is_wrong.float())
    # torch's fused optimizers read this attribute on the GPU and skip the update if it is 1. torch.amp sets it, too.
    state.optimizer.found_inf = state.has_diverged  # type: ignore[attr-defined]
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.optimizer.zero_grad()


def _sum_over_ranks(
    parameters: list[torch.nn.Parameter], loss_sum: Tensor, accelerator: Accelerator, *, scale: float
) -> Tensor:
    """Divides gradients by the loss scale, then adds them and the loss over all ranks in one all-reduce.

    Collective: a rank with empty packs adds zeros.
    """
    gradients = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    if scale != 1:
        for gradient in gradients:
            gradient.div_(scale)
    if accelerator.num_processes == 1:
        return loss_sum
    flat = torch.cat([loss_sum.view(1), *(gradient.reshape(-1).float() for gradient in gradients)])
    flat = accelerator.reduce(flat, reduction="sum")
    parts = flat[1:].split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    return flat[0]


def _deferred(numbers: Tensor) -> DeferredNumbers:
    if numbers.device.type != "cuda":
        return DeferredNumbers(numbers, None)
    host = numbers.to("cpu", non_blocking=True)  # torch makes this memory pinned
    arrival = torch.cuda.Event(enable_timing=True)
    arrival.record()
    return DeferredNumbers(host, arrival)
