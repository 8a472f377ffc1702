"""The training loop, one function to read from top to bottom, and the steps it is made of.

Every rank takes the same steps. A step: collect this rank's packs, agree on the step's answer tokens, sum the loss
over them, add the adapter's gradients of all ranks, update. The sums are over tokens, so packing, micro-batches and
the number of ranks do not weigh in the result.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from peft import PeftModel

from contract.errors import UserError
from trainer.checkpoint import Progress, save_checkpoint
from trainer.config import TrainConfig
from trainer.engine import Engine
from trainer.metrics import METRICS_NAME, StepMetrics, append_metrics, forget_after, log_line
from trainer.prefetch import prefetch
from trainer.stream import Cursor, PackStream, StepPacks, merge_places

_STEPS_AHEAD = 4

Item = TypeVar("Item")


@dataclass(frozen=True)
class Trainee:
    """What is trained, and with what."""

    model: PeftModel
    engine: Engine
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator


@dataclass(frozen=True)
class StepCounts:
    """What a step learns, over all ranks."""

    records: int
    tokens: int
    answer_tokens: int
    cut_records: int
    cut_tokens: int


def fit(
    trainee: Trainee, stream: PackStream, config: TrainConfig, *, start: Progress, identity: dict[str, Any]
) -> Progress:
    """Trains from `start` to the end, with checkpoints on the way and one at the end; returns where it ended."""
    run, accelerator = Path(config.run), trainee.accelerator
    metrics_path = run / METRICS_NAME
    if accelerator.is_main_process:
        forget_after(metrics_path, last_step=start.step)
    step, cursor, saved = start.step, start.cursor, start.step
    trainee.model.train()

    while cursor.epoch < config.epochs and not _is_last(step, config):
        ahead = prefetch(_with_batches(stream.epoch(cursor), trainee.engine), ahead=_STEPS_AHEAD)
        for (mine, batches), wait_s in _timed(ahead):
            started = time.perf_counter() - wait_s
            counts = count_step(mine, accelerator)
            if counts.records:
                step += 1
                rate = learning_rate(config, step=step, share=_share_done(config, stream, cursor, step - 1))
                loss, grad_norm = train_step(trainee, batches, config, rate=rate, step=step, counts=counts)
                metrics = StepMetrics(
                    step=step,
                    epoch=cursor.epoch,
                    loss=loss,
                    grad_norm=grad_norm,
                    learning_rate=rate,
                    **vars(counts),
                    step_s=time.perf_counter() - started,
                    wait_s=wait_s,
                    peak_memory_bytes=_peak_memory(accelerator.device),
                )
                if accelerator.is_main_process:
                    append_metrics(metrics_path, metrics)
                if step % config.log_every == 0:
                    share = _share_done(config, stream, cursor, step)
                    accelerator.print(f"{share:4.0%}  {log_line(metrics)}", flush=True)
            cursor = _advance(cursor, mine, stream, records=counts.records)
            if counts.records and step % config.save_every == 0:
                saved = _save(run, trainee, Progress(step, cursor), identity)
            if cursor.records == stream.num_records or _is_last(step, config):
                break
        ahead.close()
        if cursor.records == stream.num_records:
            cursor = Cursor(epoch=cursor.epoch + 1)

    if saved != step:
        _save(run, trainee, Progress(step, cursor), identity)
    return Progress(step, cursor)


def train_step(
    trainee: Trainee, batches: Sequence[Any], config: TrainConfig, *, rate: float, step: int, counts: StepCounts
) -> tuple[float, float]:
    """One update from all ranks' batches of this step: the mean loss of an answer token, and the gradient's norm."""
    engine, optimizer, accelerator = trainee.engine, trainee.optimizer, trainee.accelerator
    parameters = engine.parameters()
    torch.manual_seed(hash((config.seed, step, accelerator.process_index)) % 2**31)  # dropout, the same after a resume
    loss_sum = torch.zeros((), device=accelerator.device)
    for batch in batches:
        loss = engine.loss(batch)
        (loss / max(1, counts.answer_tokens)).backward()
        loss_sum += loss.detach()
    loss_sum = _sum_over_ranks(parameters, loss_sum, accelerator)
    grad_norm = torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
    loss_mean, norm = loss_sum.item() / max(1, counts.answer_tokens), grad_norm.item()  # host sync
    if not (math.isfinite(loss_mean) and math.isfinite(norm)):
        raise UserError(
            f"step {step}: loss {loss_mean}, gradient norm {norm}; the update was not made."
            " Lower --learning-rate, or go on from the last checkpoint with --resume"
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return loss_mean, norm


def count_step(mine: StepPacks, accelerator: Accelerator) -> StepCounts:
    """What all ranks together learn in this step. Collective: every rank calls it, also with empty packs."""
    examples = [example for pack in mine.packs for example in pack.examples]
    counts = torch.tensor(
        [
            len(examples),
            sum(pack.num_tokens for pack in mine.packs),
            sum(pack.num_answer_tokens for pack in mine.packs),
            sum(example.num_cut > 0 for example in examples),
            sum(example.num_cut for example in examples),
        ],
        device=accelerator.device,
    )
    return StepCounts(*accelerator.reduce(counts, reduction="sum").tolist())


def learning_rate(config: TrainConfig, *, step: int, share: float) -> float:
    """Linear from zero over the warm-up steps, then linear towards zero with the share of the run that is done."""
    return config.learning_rate * min(1.0, step / max(1, config.warmup_steps)) * (1.0 - share)


def _share_done(config: TrainConfig, stream: PackStream, cursor: Cursor, step: int) -> float:
    """From 0 to 1, by records or by steps, whichever ends the run first."""
    by_records = (cursor.epoch + cursor.records / max(1, stream.num_records)) / config.epochs
    return max(by_records, step / config.max_steps if config.max_steps else 0.0)


def _is_last(step: int, config: TrainConfig) -> bool:
    return config.max_steps is not None and step >= config.max_steps


def _advance(cursor: Cursor, mine: StepPacks, stream: PackStream, *, records: int) -> Cursor:
    lanes = {**cursor.lanes, **mine.places}
    return Cursor(cursor.epoch, cursor.packs + stream.packs_per_step, cursor.records + records, lanes)


def _save(run: Path, trainee: Trainee, progress: Progress, identity: dict[str, Any]) -> int:
    """Collective: every rank says where its lanes stand, rank 0 writes."""
    cursor = progress.cursor
    lanes = merge_places(gather_object([dict(cursor.lanes)]))
    progress = Progress(progress.step, Cursor(cursor.epoch, cursor.packs, cursor.records, lanes))
    if trainee.accelerator.is_main_process:
        trainee.engine.give_adapter()
        save_checkpoint(run, trainee.model, trainee.optimizer, progress, identity=identity)
    trainee.accelerator.wait_for_everyone()
    return progress.step


def _sum_over_ranks(
    parameters: list[torch.nn.Parameter], loss_sum: torch.Tensor, accelerator: Accelerator
) -> torch.Tensor:
    """Adds gradients and loss over all ranks, in one piece; a rank with empty packs adds zeros. Collective."""
    gradients = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    if accelerator.num_processes == 1:
        return loss_sum
    flat = torch.cat([loss_sum.view(1), *(gradient.reshape(-1).float() for gradient in gradients)])
    flat = accelerator.reduce(flat, reduction="sum")
    parts = flat[1:].split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    return flat[0]


def _with_batches(steps: Iterator[StepPacks], engine: Engine) -> Iterator[tuple[StepPacks, list[Any]]]:
    for step in steps:
        yield step, engine.batches(step.packs)


def _timed(items: Iterator[Item]) -> Iterator[tuple[Item, float]]:
    """Each item with the seconds that its consumer waited for it."""
    while True:
        started = time.perf_counter()
        item = next(items, None)
        if item is None:
            return
        yield item, time.perf_counter() - started


def _peak_memory(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
