"""The training loop, one function to read from top to bottom.

Every rank takes the same steps. A step: collect this rank's packs, agree on the step's answer tokens, sum the loss
over them, add the adapter's gradients of all ranks, update (`trainer.step`). All sums are over tokens, so packing,
micro-batches and the number of ranks do not change the result.

The loop waits for the GPU only while the GPU has other work: a step's counts are requested before the step before it
is launched, and its loss is read after the next step is launched.
"""

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGTERM

import torch
from msgspec.structs import replace as replaced

from command.signals import StoppedError
from contract.errors import UserError
from trainer.agreement import agreed_steps
from trainer.config import TrainConfig
from trainer.recall.probe import Probe
from trainer.recipes.recipe import Recipe
from trainer.runs.checkpoint import RunState
from trainer.runs.ledger import TrainedStep, cut_ledger, trained
from trainer.runs.metrics import Sink, StepMetrics
from trainer.runs.recalls import Probed
from trainer.saves import Saves, stopped_text
from trainer.step import DeferredNumbers, StepCounts, TrainState, Wishes, timestamp, train_step
from trainer.stream.cursor import Cursor
from trainer.stream.packs import PackStream, StepPacks


@dataclass(frozen=True)
class Observers:
    """What follows a training without changing it: each sink gets every step, the probe measures recall."""

    sinks: Sequence[Sink]
    probe: Probe | None = None


def fit(
    state: TrainState,
    stream: PackStream,
    *,
    config: TrainConfig,
    recipe: Recipe,
    start: RunState,
    observers: Observers,
    stop: Callable[[], int | None] = lambda: None,
) -> RunState:
    """Trains from `start` to the end, with checkpoints on the way and one at the end; returns how far it came.

    The observers get the metrics of each step, in order, and what the probe measures on the way. After a signal to any
    rank, all ranks stop at the same step, with a checkpoint, and raise StoppedError. Collective.
    """
    if state.accelerator.is_main_process:
        cut_ledger(Path(config.run), last_step=start.step)
    share_done = partial(_share_done, stream=stream, config=config, recipe=recipe)
    reached = replaced(start, cursor=stream.own(start.cursor))
    saves = Saves(state, config, step=start.step)
    probe, reporter = observers.probe, _Reporter(observers.sinks, start=start, device=state.accelerator.device)
    ledger: list[TrainedStep] = []  # this rank's part, since the last checkpoint
    state.engine.model.train()
    if probe:
        reporter.give(probe.begin(start.step))

    def wishes() -> Wishes:
        return Wishes(probe=bool(probe and probe.is_due()), save=saves.is_due(), stop=stop() is not None)

    def is_over() -> bool:
        return reached.cursor.epoch >= recipe.epochs or _is_last(reached.step, config)

    is_stopping = False
    while not (is_stopping or is_over()):
        steps = agreed_steps(stream, reached.cursor, state, on_wait=reporter.add_wait, wishes=wishes)
        for packs, batches, counts in steps:
            before, reached = reached, _after(reached, packs, counts, stream)
            if counts.records:
                rate = learning_rate(recipe, step=reached.step, share=share_done(before))
                numbers = train_step(state, batches, config=config, counts=counts, rate=rate, step=reached.step)
                reporter.add(_LaunchedStep(reached, counts, numbers, rate=rate, share_done=share_done(reached)))
                if config.ledger:
                    epoch, first_pack = before.cursor.epoch, before.cursor.packs
                    ledger.append(trained(packs, step=reached.step, epoch=epoch, first_pack=first_pack))
                if saves.is_agreed(counts.saves_due, step=reached.step):
                    reporter.flush()
                    saves.save(reached, ledger)
                    reporter.restart_clock()
                if probe and probe.schedule.is_agreed(counts.probes_due, step=reached.step):
                    reporter.flush()
                    reporter.give(probe.measure(reached.step))
            is_stopping = counts.stops_due > 0
            if is_stopping or reached.cursor.records == stream.num_records or _is_last(reached.step, config):
                break
            _check_not_over(counts, reached, stream)
        reporter.flush()
        steps.close()
        if reached.cursor.records == stream.num_records:
            reached = replaced(reached, cursor=Cursor.start(reached.cursor.epoch + 1))

    if not (reached.step or is_stopping):
        raise UserError(f"none of the {stream.num_records:,} records could be read: there is nothing to train on")
    if saves.last_step != reached.step:
        saves.save(reached, ledger)
    if is_stopping and not is_over():
        raise StoppedError(stopped_text(Path(config.run), step=reached.step), number=stop() or SIGTERM)
    return reached


@contextmanager
def without_long_collections() -> Iterator[None]:
    """Inside the block, Python's collector does not look at objects that were there before.

    With all libraries loaded, a full collection takes 0.1 to 0.4 s. That is longer than the work that is queued on the
    GPUs, and all ranks wait for the slowest one.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def learning_rate(recipe: Recipe, *, step: int, share: float) -> float:
    """The rate of a step: linear from zero to the peak during the warm-up, then linear to zero at the end of the run.

    `share` of the run, from 0 to 1, is done before this step. The number of steps to come is not known, so the share
    that was done at the end of the warm-up is estimated as `share * warmup_steps / step`. A run that ends within the
    warm-up never reaches the peak.
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * step / recipe.warmup_steps
    return recipe.learning_rate * (1.0 - share) / (1.0 - share * recipe.warmup_steps / step)


@dataclass(frozen=True)
class _LaunchedStep:
    """A step whose loss and gradient norm are on their way from the GPU."""

    reached: RunState  # after this step
    counts: StepCounts
    numbers: DeferredNumbers
    rate: float
    share_done: float


class _Reporter:
    """Gives the metrics of each step to the sinks, once the next step is launched or at `flush`."""

    def __init__(self, sinks: Sequence[Sink], *, start: RunState, device: torch.device) -> None:
        self._sinks = sinks
        self._device = device
        self._skipped_records = start.skipped_records  # of the whole run, up to the last reported step
        self._waited_s = 0.0
        self._held: tuple[_LaunchedStep, float] | None = None  # with the seconds that it waited for its packs
        self.restart_clock()

    def restart_clock(self) -> None:
        """Measures the time of the next step from now on."""
        self._before = timestamp(self._device)

    def give(self, probed: Probed | None) -> None:
        """Gives a measurement of recall to the sinks; the time that it took is no part of a step."""
        if probed:
            for sink in self._sinks:
                sink(probed)
        self.restart_clock()

    def add_wait(self, seconds: float) -> None:
        """Adds to the time for which the next step waits for its packs."""
        self._waited_s += seconds

    def add(self, step: _LaunchedStep) -> None:
        """Reports the step that is held, then holds this one."""
        self.flush()
        self._held, self._waited_s = (step, self._waited_s), 0.0

    def flush(self) -> None:
        """Reports the step that is held; UserError if its loss or its gradient is not finite."""
        if self._held is None:
            return
        (step, waited_s), self._held = self._held, None
        reached, counts = step.reached, step.counts
        loss_sum, norm = step.numbers.get()
        loss = loss_sum / max(1, counts.answer_tokens)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise UserError(
                f"step {reached.step}: loss {loss}, gradient norm {norm}; the update was not made."
                " Begin anew with a lower --learning-rate (--overwrite)"
            )
        metrics = StepMetrics(
            step=reached.step,
            epoch=reached.cursor.epoch,
            share_done=step.share_done,
            loss=loss,
            grad_norm=norm,
            learning_rate=step.rate,
            records=counts.records,
            tokens=counts.tokens,
            answer_tokens=counts.answer_tokens,
            cut_records=counts.cut_records,
            cut_tokens=counts.cut_tokens,
            skipped_records=reached.skipped_records - self._skipped_records,
            step_s=step.numbers.seconds_after(self._before),
            wait_s=waited_s,
            peak_memory_bytes=_peak_memory(self._device),
        )
        self._before, self._skipped_records = step.numbers, reached.skipped_records
        for sink in self._sinks:
            sink(metrics)


def _after(reached: RunState, packs: StepPacks, counts: StepCounts, stream: PackStream) -> RunState:
    """The state after these packs. If all their records were skipped, they do not count as a step."""
    records = counts.records + counts.skipped_records
    return replaced(
        reached,
        step=reached.step + bool(counts.records),
        cursor=reached.cursor.after([packs.positions], packs_per_step=stream.packs_per_step, records=records),
        cut_records=reached.cut_records + counts.cut_records,
        skipped_records=reached.skipped_records + counts.skipped_records,
    )


def _check_not_over(counts: StepCounts, reached: RunState, stream: PackStream) -> None:
    """Raises UserError, on all ranks, if no rank has records left though some are missing: the loop would never end."""
    if counts.ranks_over == stream.rank.world:
        raise UserError(
            f"epoch {reached.cursor.epoch} is over with {reached.cursor.records:,} of {stream.num_records:,} records"
            " trained or skipped: the checkpoint that this run went on from does not belong to this data; delete it,"
            " and go on from the one before it with --resume"
        )


def _share_done(reached: RunState, *, stream: PackStream, config: TrainConfig, recipe: Recipe) -> float:
    """The share of the run that is done, from 0 to 1: by records or by steps, whichever ends the run first."""
    by_records = (reached.cursor.epoch + reached.cursor.records / max(1, stream.num_records)) / recipe.epochs
    return max(by_records, reached.step / config.max_steps if config.max_steps else 0.0)


def _is_last(step: int, config: TrainConfig) -> bool:
    return config.max_steps is not None and step >= config.max_steps


def _peak_memory(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
