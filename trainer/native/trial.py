"""Trial passes: how many tokens fit on this GPU at once, and which precision of the base is fastest there."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from peft import PeftModel

from contract.errors import UserError
from trainer.examples import Example, Pack
from trainer.native.batch import make_batch, make_batches
from trainer.native.frozen import Precision
from trainer.native.model import NativeModel, build_native

LARGEST_LOSS_DIFFERENCE: Final = 0.003  # to the loss on the NF4 base, as a share of it
_PRECISIONS: Final[tuple[Precision, ...]] = ("nf4", "bf16", "fp8")
_TIMED_PASSES: Final = 3
_SHARE_OF_MEMORY: Final = 0.9  # the rest is lost between blocks, or grows later
_CPU_TOKENS: Final = 8_192

# Tokens at once and number of recomputed layers to the bytes that a pass takes; None where they are not to be had.
Measure = Callable[[int, int], int | None]


@dataclass(frozen=True)
class Fit:
    """What a pass can be on this GPU."""

    tokens: int
    num_recomputed: int


@dataclass(frozen=True)
class Trial:
    """How one precision of the base did. What was not measured is None."""

    precision: Precision
    tokens_per_s: float | None
    loss: float | None  # mean of an answer token
    verdict: str
    is_chosen: bool = False


def fit_to_memory(native: NativeModel, *, max_length: int, most: int) -> tuple[NativeModel, int]:
    """The model, recomputing its layers if it must, and the tokens that it takes at once, at most `most`."""
    device = native.embedding_VC.device
    if device.type != "cuda":
        return native, max(max_length, min(most, _CPU_TOKENS))
    room = int(_SHARE_OF_MEMORY * (torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)))
    room -= 2 * native.adapter_LP.nbytes  # the optimizer's
    fit = find_fit(
        lambda tokens, num_recomputed: pass_bytes(native, tokens, num_recomputed, max_length=max_length),
        room=room, max_length=max_length, most=most, num_layers=native.shape.num_layers,
    )  # fmt: skip
    return replace(native, num_recomputed=fit.num_recomputed), fit.tokens


def find_fit(measure: Measure, *, room: int, max_length: int, most: int, num_layers: int) -> Fit:
    """The most tokens at once, in whole packs, with no layer recomputed if even one pack fits so, else with all.

    Memory grows linearly with tokens: two passes say how fast, one more proves the guess. UserError if nothing fits.
    """
    for num_recomputed in (0, num_layers):

        def fits(tokens: int, num_recomputed: int = num_recomputed) -> int | None:
            taken = measure(tokens, num_recomputed)
            return taken if taken is not None and taken <= room else None

        if (one := fits(max_length)) is None:
            continue
        packs = most // max_length
        if packs > 2:
            two = fits(2 * max_length)
            packs = min(packs, 1 + (room - one) // max(1, two - one)) if two is not None else 1
        while packs > 1 and fits(packs * max_length) is None:
            packs -= max(1, packs // 8)
        return Fit(max(1, packs) * max_length, num_recomputed)
    raise UserError(
        f"a pack of {max_length} tokens does not fit into this GPU's memory, even with every layer computed again in"
        " the backward pass: lower --max-length, or take a smaller base"
    )


def pass_bytes(native: NativeModel, tokens: int, num_recomputed: int, *, max_length: int) -> int | None:
    """Bytes that a forward and backward pass takes beyond what is there already; None where there are not so many."""
    device = native.embedding_VC.device
    examples = [Example(row, [1] * max_length, 1, 0) for row in range(tokens // max_length)]
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    try:
        replace(native, num_recomputed=num_recomputed).loss(make_batch(examples, max_tokens=tokens)).backward()
        torch.cuda.synchronize(device)
    except torch.OutOfMemoryError:
        return None
    finally:
        native.adapter_LP.grad = None
    return torch.cuda.max_memory_allocated(device) - before


def try_precisions(model: PeftModel, packs: Sequence[Pack], *, max_length: int, most: int) -> list[Trial]:
    """How each precision does on these packs; the chosen one is the fastest whose loss is near enough to NF4's."""
    trials: list[Trial] = []
    for precision in _PRECISIONS:
        try:
            native, tokens = fit_to_memory(build_native(model, precision=precision), max_length=max_length, most=most)
            trials.append(_time(native, precision, packs, tokens=tokens))
        except UserError as error:
            trials.append(Trial(precision, None, None, str(error)))
        except torch.OutOfMemoryError:
            trials.append(Trial(precision, None, None, "does not fit"))
    return judge(trials)


def judge(trials: Sequence[Trial]) -> list[Trial]:
    """The trials with their verdicts. UserError where NF4, which the others are held against, was not measured."""
    right = trials[0].loss
    if right is None:
        raise UserError(f"the native engine cannot train this base in nf4: {trials[0].verdict}")
    judged = []
    for trial in trials:
        apart = abs(trial.loss - right) / right if trial.loss is not None else None
        if apart is not None and not apart <= LARGEST_LOSS_DIFFERENCE:  # also where it is no number
            trial = replace(trial, verdict=f"loss differs by {apart:.2%}, allowed {LARGEST_LOSS_DIFFERENCE:.2%}")
        elif apart is not None:
            trial = replace(trial, verdict="right")
        judged.append(trial)
    fastest = max((trial for trial in judged if trial.verdict == "right"), key=lambda trial: trial.tokens_per_s or 0)
    return [replace(trial, is_chosen=trial is fastest) for trial in judged]


def _time(native: NativeModel, precision: Precision, packs: Sequence[Pack], *, tokens: int) -> Trial:
    batches = list(make_batches(packs, max_tokens=tokens))
    device = native.embedding_VC.device
    loss_sum = 0.0
    for number in range(1 + _TIMED_PASSES):
        if number == 1:  # the first pass compiled
            _wait(device)
            started = time.perf_counter()
        for batch in batches:
            loss = native.loss(batch)
            loss.backward()
            if number == 0:
                loss_sum += loss.item()
    _wait(device)
    seconds = time.perf_counter() - started
    native.adapter_LP.grad = None
    num_tokens = _TIMED_PASSES * sum(batch.num_tokens for batch in batches)
    mean_loss = loss_sum / max(1, sum(batch.num_answer_tokens for batch in batches))
    return Trial(precision, num_tokens / seconds, mean_loss, "")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
