"""The training loop, one function to read from top to bottom.

Every rank takes the same steps. A step: collect this rank's packs, agree on the step's answer tokens, sum the loss
over them, add the adapter's gradients of all ranks, update (`trainer.step`). The sums are over tokens, so packing,
micro-batches and the number of ranks do not weigh in the result.

The GPU is never waited for while it has nothing else to do: the counts of a step are asked for before the step before
it is launched, and its loss is read after the next one is.
"""

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from contract.errors import UserError
from trainer.agreement import agreed_steps
from trainer.config import TrainConfig
from trainer.runs import names
from trainer.runs.checkpoint import Progress, save_checkpoint
from trainer.runs.copies import try_to_copy
from trainer.runs.ledger import LearntStep, cut_ledger, learnt, merge, write_ledger
from trainer.runs.metrics import StepMetrics, append_metrics, forget_after, log_line
from trainer.step import Awaited, StepCounts, Trainee, mark, train_step
from trainer.stream.cursor import Cursor
from trainer.stream.packs import PackStream, StepPacks


def fit(
    trainee: Trainee, stream: PackStream, config: TrainConfig, *, start: Progress, identity: dict[str, Any]
) -> Progress:
    """Trains from `start` to the end, with checkpoints on the way and one at the end; returns where it ended."""
    run, accelerator = Path(config.run), trainee.accelerator
    if accelerator.is_main_process:
        forget_after(run / names.METRICS, last_step=start.step)
        cut_ledger(run, last_step=start.step)
    saved, here = start.step, replace(start, cursor=stream.own(start.cursor))
    reporter = _Reporter(config, accelerator, mark(accelerator.device))
    ledger: list[LearntStep] = []  # this rank's part, since the last checkpoint
    trainee.model.train()

    while here.cursor.epoch < config.epochs and not _is_last(here.step, config):
        steps = agreed_steps(stream, here.cursor, trainee, on_wait=reporter.waited)
        for mine, batches, counts in steps:
            before, here = here, _after(here, mine, counts, stream)
            reporter.skipped_records += counts.skipped_records
            cursor, step = before.cursor, here.step
            if counts.records:
                share = _share_done(config, stream, before)
                rate = learning_rate(config, step=step, share=share)
                numbers = train_step(trainee, batches, config, rate=rate, step=step, counts=counts)
                done = _share_done(config, stream, here)
                reporter.add(_Launched(step, cursor.epoch, done, rate, counts, numbers, *reporter.take()))
                if config.ledger:
                    ledger.append(learnt(mine, step=step, epoch=cursor.epoch, first_pack=cursor.packs))
            if counts.records and step % config.save_every == 0:
                reporter.flush()
                saved = _save(config, trainee, here, ledger, identity=identity)
                reporter.before = mark(accelerator.device)
            if here.cursor.records == stream.num_records or _is_last(step, config):
                break
            _check_not_over(counts, here, stream)
        reporter.flush()
        steps.close()
        if here.cursor.records == stream.num_records:
            here = replace(here, cursor=Cursor(epoch=here.cursor.epoch + 1))

    if not here.step:
        raise UserError(f"none of the {stream.num_records:,} records could be read: there is nothing to learn")
    if saved != here.step:
        _save(config, trainee, here, ledger, identity=identity)
    return here


@contextmanager
def without_long_collections() -> Iterator[None]:
    """Python's collector does not look at what is there already.

    A full collection takes 0.1 to 0.4 s with all libraries loaded: longer than the loop is ahead of several GPUs, which
    all wait for the slowest rank.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def learning_rate(config: TrainConfig, *, step: int, share: float) -> float:
    """Linear from zero to the peak at the end of the warm-up, then towards zero with the share of the run that is done.

    How many steps there will be is not known; the share at the end of the warm-up is that of now times its part of the
    steps so far. A run that ends within the warm-up never reaches the peak.
    """
    if step < config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    return config.learning_rate * (1.0 - share) / (1.0 - share * config.warmup_steps / step)


@dataclass(frozen=True)
class _Launched:
    """A step whose loss is on its way."""

    step: int
    epoch: int
    share: float  # of the run, after it
    rate: float
    counts: StepCounts
    numbers: Awaited
    wait_s: float  # for packs, since the step before was launched
    skipped_records: int  # since then, too


@dataclass
class _Reporter:
    """Writes down each step once the next one is launched, or when it is told to."""

    config: TrainConfig
    accelerator: Accelerator
    before: Awaited  # from which the next step's time is measured
    held: _Launched | None = None
    wait_s: float = 0.0
    skipped_records: int = 0

    def waited(self, seconds: float) -> None:
        """Adds to the time that was waited for packs."""
        self.wait_s += seconds

    def take(self) -> tuple[float, int]:
        """The seconds that were waited for packs, and the records skipped, since this was last asked."""
        taken, self.wait_s, self.skipped_records = (self.wait_s, self.skipped_records), 0.0, 0
        return taken

    def add(self, launched: _Launched) -> None:
        """Holds this step back and writes down the one before."""
        self.flush()
        self.held = launched

    def flush(self) -> None:
        """Writes down what is held; UserError where its loss is no number."""
        if self.held is None:
            return
        launched, self.held = self.held, None
        counts = launched.counts
        loss_sum, norm = launched.numbers.get()
        loss = loss_sum / max(1, counts.answer_tokens)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise UserError(
                f"step {launched.step}: loss {loss}, gradient norm {norm}; the update was not made."
                " Begin anew with a lower --learning-rate (--overwrite)"
            )
        step_s, self.before = launched.numbers.seconds_after(self.before), launched.numbers
        metrics = StepMetrics(
            step=launched.step,
            epoch=launched.epoch,
            loss=loss,
            grad_norm=norm,
            learning_rate=launched.rate,
            records=counts.records,
            tokens=counts.tokens,
            answer_tokens=counts.answer_tokens,
            cut_records=counts.cut_records,
            cut_tokens=counts.cut_tokens,
            skipped_records=launched.skipped_records,
            step_s=step_s,
            wait_s=launched.wait_s,
            peak_memory_bytes=_peak_memory(self.accelerator.device),
        )
        if self.accelerator.is_main_process:
            append_metrics(Path(self.config.run) / names.METRICS, metrics)
        if launched.step % self.config.log_every == 0:
            self.accelerator.print(f"{launched.share:4.0%}  {log_line(metrics)}", flush=True)


def _after(here: Progress, mine: StepPacks, counts: StepCounts, stream: PackStream) -> Progress:
    """The progress after a step; one in which nothing is learnt is none."""
    records = counts.records + counts.skipped_records
    return Progress(
        here.step + bool(counts.records),
        here.cursor.after([mine.places], packs_per_step=stream.packs_per_step, records=records),
        here.cut_records + counts.cut_records,
        here.skipped_records + counts.skipped_records,
    )


def _check_not_over(counts: StepCounts, here: Progress, stream: PackStream) -> None:
    """UserError, on all ranks, if nothing is left to learn though records are missing: no end would ever come."""
    if counts.ranks_over == stream.rank.world:
        raise UserError(
            f"epoch {here.cursor.epoch} is over with {here.cursor.records:,} of {stream.num_records:,} records learnt"
            " or skipped: the checkpoint that this run went on from does not belong to this data; delete it, and go on"
            " from the one before it with --resume"
        )


def _share_done(config: TrainConfig, stream: PackStream, here: Progress) -> float:
    """From 0 to 1, by records or by steps, whichever ends the run first."""
    by_records = (here.cursor.epoch + here.cursor.records / max(1, stream.num_records)) / config.epochs
    return max(by_records, here.step / config.max_steps if config.max_steps else 0.0)


def _is_last(step: int, config: TrainConfig) -> bool:
    return config.max_steps is not None and step >= config.max_steps


def _save(
    config: TrainConfig, trainee: Trainee, here: Progress, ledger: list[LearntStep], *, identity: dict[str, Any]
) -> int:
    """Collective: every rank says where its lanes stand and what it has learnt, rank 0 writes. Empties the ledger."""
    ranks = gather_object([(dict(here.cursor.lanes), ledger)])
    lanes = {lane: place for lanes_of_rank, _ in ranks for lane, place in lanes_of_rank.items()}
    if trainee.accelerator.is_main_process:
        run = Path(config.run)
        trainee.engine.export_adapter()
        write_ledger(run, list(merge([part for _, part in ranks])))
        whole = replace(here, cursor=replace(here.cursor, lanes=lanes))
        save_checkpoint(run, trainee.model, trainee.optimizer, whole, identity=identity)
        if config.copy_to:
            try_to_copy(run, config.copy_to)
    ledger.clear()
    trainee.accelerator.wait_for_everyone()
    return here.step


def _peak_memory(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
