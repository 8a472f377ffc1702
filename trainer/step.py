"""One optimizer step over all ranks, launched without waiting for the GPU.

What people and the loop want to know of it arrives later (`Awaited`). A gradient that is no number therefore switches
all updates off on the GPU itself, from its own step on, until the loop has read it and stops.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from accelerate import Accelerator
from peft import PeftModel
from torch import Tensor

from trainer.config import TrainConfig
from trainer.engines.engine import Engine
from trainer.stream.packs import StepPacks

# Of losses in float16, as in torch.amp. It stands in the optimizer's state, and so in checkpoints.
_SCALE: Final = "loss_scale"
_STEPS_AT_SCALE: Final = "steps_at_loss_scale"
_FIRST_SCALE: Final = 2.0**16
_STEPS_TO_GROW: Final = 2_000


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
    skipped_records: int  # that could not be read, and were to be left out
    ranks_over: int  # that have nothing left to learn in this epoch
    ranks_failed: int  # that could not make their packs


@dataclass(frozen=True)
class Awaited:
    """Numbers on their way from the GPU."""

    numbers: Tensor
    arrival: torch.cuda.Event | None
    made_s: float = field(default_factory=time.perf_counter)

    def seconds_after(self, earlier: "Awaited") -> float:
        """The time between both arrivals, by the clock of the GPU where there is one. Call `get` before."""
        if self.arrival is None or earlier.arrival is None:
            return self.made_s - earlier.made_s
        return earlier.arrival.elapsed_time(self.arrival) / 1000

    def get(self) -> list[Any]:
        """The numbers. Waits for what they depend on alone, not for what was launched after them."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return self.numbers.tolist()


def mark(device: torch.device) -> Awaited:
    """Now, as the device will reach it: to measure from."""
    return _awaited(torch.zeros((), device=device))


def make_optimizer(engine: Engine, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW on what the engine trains; with a loss scale where it computes in float16."""
    optimizer = torch.optim.AdamW(
        engine.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    if engine.model.dtype == torch.float16:
        optimizer.param_groups[0] |= {_SCALE: _FIRST_SCALE, _STEPS_AT_SCALE: 0}
    return optimizer


def count_step(mine: StepPacks, accelerator: Accelerator, *, has_failed: bool = False) -> Awaited:
    """What all ranks together learn in a step, for `StepCounts`. Collective, also where there are no packs.

    A rank that could not make its packs says so here: it must not leave the others waiting for it.
    """
    examples = [example for pack in mine.packs for example in pack.examples]
    counts = torch.tensor(
        [
            len(examples),
            sum(pack.num_tokens for pack in mine.packs),
            sum(pack.num_answer_tokens for pack in mine.packs),
            sum(example.num_cut > 0 for example in examples),
            sum(example.num_cut for example in examples),
            mine.num_skipped,
            mine.is_over,
            has_failed,
        ]
    )
    if accelerator.num_processes == 1:
        return Awaited(counts, None)
    if accelerator.device.type == "cuda":
        counts = counts.pin_memory()
    return _awaited(accelerator.reduce(counts.to(accelerator.device, non_blocking=True), reduction="sum"))


def train_step(
    trainee: Trainee, batches: Sequence[Any], config: TrainConfig, *, rate: float, step: int, counts: StepCounts
) -> Awaited:
    """One update from all ranks' batches of this step: the summed loss of its answer tokens, and the gradient's norm.

    Collective. In float16 gradients that leave its range are computed again with a smaller loss scale, so that no
    record is passed over; that takes one wait for the GPU a step.
    """
    optimizer, accelerator = trainee.optimizer, trainee.accelerator
    parameters = trainee.engine.parameters()
    (group,) = optimizer.param_groups
    while True:
        scale = group.get(_SCALE, 1.0)
        torch.manual_seed(hash((config.seed, step, accelerator.process_index)) % 2**31)  # dropout, also after a resume
        loss_sum = torch.zeros((), device=accelerator.device)
        for batch in batches:
            loss = trainee.engine.loss(batch)
            (loss * (scale / max(1, counts.answer_tokens))).backward()
            loss_sum += loss.detach()
        loss_sum = _sum_over_ranks(parameters, loss_sum, accelerator, scale=scale)
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        if _SCALE not in group or scale <= 1 or math.isfinite(norm.item()):  # host sync, in float16 alone
            break
        group |= {_SCALE: scale / 2, _STEPS_AT_SCALE: 0}
        optimizer.zero_grad()
    if _SCALE in group:
        group[_STEPS_AT_SCALE] += 1
        if group[_STEPS_AT_SCALE] == _STEPS_TO_GROW:
            group |= {_SCALE: group[_SCALE] * 2, _STEPS_AT_SCALE: 0}
    _update(optimizer, rate=rate, is_wrong=~torch.isfinite(loss_sum + norm))
    return _awaited(torch.stack([loss_sum, norm]))


def _update(optimizer: torch.optim.Optimizer, *, rate: float, is_wrong: Tensor) -> None:
    """Updates, unless this step or an earlier one is wrong. torch's fused optimizers read `found_inf` on the GPU."""
    wrong = torch.maximum(getattr(optimizer, "found_inf", torch.zeros_like(is_wrong)), is_wrong.float())
    optimizer.found_inf = wrong  # type: ignore[attr-defined]  # as torch.amp.GradScaler sets it
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()


def _sum_over_ranks(
    parameters: list[torch.nn.Parameter], loss_sum: Tensor, accelerator: Accelerator, *, scale: float
) -> Tensor:
    """Adds gradients, freed of the loss scale, and loss over all ranks, in one piece.

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


def _awaited(numbers: Tensor) -> Awaited:
    if numbers.device.type != "cuda":
        return Awaited(numbers, None)
    host = numbers.to("cpu", non_blocking=True)  # torch makes this memory pinned
    arrival = torch.cuda.Event(enable_timing=True)
    arrival.record()
    return Awaited(host, arrival)
