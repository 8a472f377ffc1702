"""The training loop, one function to read from top to bottom.

Every rank takes the same steps. A step: collect this rank's packs, agree on the step's answer tokens, sum the loss
over them, add the adapter's gradients of all ranks, update (`trainer.step`). The sums are over tokens, so packing,
micro-batches and the number of ranks do not weigh in the result.

The GPU is never waited for while it has nothing else to do: the counts of a step are asked for before the step before
it is launched, and its loss is read after the next one is.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from contract.errors import UserError
from trainer.checkpoint import Progress, save_checkpoint
from trainer.config import TrainConfig
from trainer.engine import Engine
from trainer.metrics import METRICS_NAME, StepMetrics, append_metrics, forget_after, log_line
from trainer.prefetch import prefetch
from trainer.step import Awaited, StepCounts, Trainee, count_step, mark, train_step
from trainer.stream import Cursor, PackStream, StepPacks

_STEPS_AHEAD = 4

Item = TypeVar("Item")


def fit(
    trainee: Trainee, stream: PackStream, config: TrainConfig, *, start: Progress, identity: dict[str, Any]
) -> Progress:
    """Trains from `start` to the end, with checkpoints on the way and one at the end; returns where it ended."""
    run, accelerator = Path(config.run), trainee.accelerator
    if accelerator.is_main_process:
        forget_after(run / METRICS_NAME, last_step=start.step)
    step, cursor, saved = start.step, stream.own(start.cursor), start.step
    reporter = _Reporter(config, accelerator, mark(accelerator.device))
    trainee.model.train()

    while cursor.epoch < config.epochs and not _is_last(step, config):
        ahead = prefetch(_with_batches(stream.epoch(cursor), trainee.engine), ahead=_STEPS_AHEAD)
        for mine, batches, counts in _counted(_timed(ahead, reporter), accelerator):
            if counts.records:
                step += 1
                share = _share_done(config, stream, cursor, step - 1)
                rate = learning_rate(config, step=step, share=share)
                numbers = train_step(trainee, batches, config, rate=rate, step=step, counts=counts)
                reporter.add(_Launched(step, cursor.epoch, share, rate, counts, numbers, reporter.take_wait_s()))
            cursor = cursor.after([mine], packs_per_step=stream.packs_per_step, records=counts.records)
            if counts.records and step % config.save_every == 0:
                reporter.flush()
                saved = _save(run, trainee, Progress(step, cursor), identity)
                reporter.before = mark(accelerator.device)
            if cursor.records == stream.num_records or _is_last(step, config):
                break
        reporter.flush()
        ahead.close()
        if cursor.records == stream.num_records:
            cursor = Cursor(epoch=cursor.epoch + 1)

    if saved != step:
        _save(run, trainee, Progress(step, cursor), identity)
    return Progress(step, cursor)


def learning_rate(config: TrainConfig, *, step: int, share: float) -> float:
    """Linear from zero over the warm-up steps, then linear towards zero with the share of the run that is done."""
    return config.learning_rate * min(1.0, step / max(1, config.warmup_steps)) * (1.0 - share)


@dataclass(frozen=True)
class _Launched:
    """A step whose loss is on its way."""

    step: int
    epoch: int
    share: float  # of the run, before it
    rate: float
    counts: StepCounts
    numbers: Awaited
    wait_s: float  # for packs, since the step before was launched


@dataclass
class _Reporter:
    """Writes down each step once the next one is launched, or when it is told to."""

    config: TrainConfig
    accelerator: Accelerator
    before: Awaited  # from which the next step's time is measured
    held: _Launched | None = None
    wait_s: float = 0.0

    def take_wait_s(self) -> float:
        """The seconds that were waited for packs since this was last asked."""
        wait_s, self.wait_s = self.wait_s, 0.0
        return wait_s

    def add(self, launched: _Launched) -> None:
        """Holds this step back and writes down the one before."""
        self.flush()
        self.held = launched

    def flush(self) -> None:
        """Writes down what is held; UserError where its loss is no number."""
        if self.held is None:
            return
        launched, self.held = self.held, None
        loss_sum, norm = launched.numbers.get()
        loss = loss_sum / max(1, launched.counts.answer_tokens)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise UserError(
                f"step {launched.step}: loss {loss}, gradient norm {norm}; the update was not made."
                " Lower --learning-rate, or go on from the last checkpoint with --resume"
            )
        step_s, self.before = launched.numbers.seconds_after(self.before), launched.numbers
        metrics = StepMetrics(
            step=launched.step,
            epoch=launched.epoch,
            loss=loss,
            grad_norm=norm,
            learning_rate=launched.rate,
            **vars(launched.counts),
            step_s=step_s,
            wait_s=launched.wait_s,
            peak_memory_bytes=_peak_memory(self.accelerator.device),
        )
        if self.accelerator.is_main_process:
            append_metrics(Path(self.config.run) / METRICS_NAME, metrics)
        if launched.step % self.config.log_every == 0:
            self.accelerator.print(f"{launched.share:4.0%}  {log_line(metrics)}", flush=True)


def _share_done(config: TrainConfig, stream: PackStream, cursor: Cursor, step: int) -> float:
    """From 0 to 1, by records or by steps, whichever ends the run first."""
    by_records = (cursor.epoch + cursor.records / max(1, stream.num_records)) / config.epochs
    return max(by_records, step / config.max_steps if config.max_steps else 0.0)


def _is_last(step: int, config: TrainConfig) -> bool:
    return config.max_steps is not None and step >= config.max_steps


def _save(run: Path, trainee: Trainee, progress: Progress, identity: dict[str, Any]) -> int:
    """Collective: every rank says where its lanes stand, rank 0 writes."""
    cursor = progress.cursor
    lanes = {lane: place for rank in gather_object([dict(cursor.lanes)]) for lane, place in rank.items()}
    progress = Progress(progress.step, replace(cursor, lanes=lanes))
    if trainee.accelerator.is_main_process:
        trainee.engine.give_adapter()
        save_checkpoint(run, trainee.model, trainee.optimizer, progress, identity=identity)
    trainee.accelerator.wait_for_everyone()
    return progress.step


def _with_batches(steps: Iterator[StepPacks], engine: Engine) -> Iterator[tuple[StepPacks, list[Any]]]:
    for step in steps:
        yield step, engine.batches(step.packs)


def _counted(
    steps: Iterator[tuple[StepPacks, list[Any]]], accelerator: Accelerator
) -> Iterator[tuple[StepPacks, list[Any], StepCounts]]:
    """Each step with what all ranks learn in it, asked for one step ahead. Collective."""
    held: tuple[StepPacks, list[Any], Awaited] | None = None
    for mine, batches in steps:
        following = mine, batches, count_step(mine, accelerator)
        if held is not None:
            yield held[0], held[1], StepCounts(*held[2].get())
        held = following


def _timed(items: Iterator[Item], reporter: _Reporter) -> Iterator[Item]:
    """The items; the reporter is told how long their consumer waits for them."""
    while True:
        started = time.perf_counter()
        item = next(items, None)
        reporter.wait_s += time.perf_counter() - started
        if item is None:
            return
        yield item


def _peak_memory(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
