"""Passes before training: do documents see each other, how many tokens fit at once, which precision is fastest."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from peft import PeftModel
from torch import Tensor

from contract.errors import UserError
from trainer.examples.encoder import Example, Pack
from trainer.native.batch import make_batch, make_batches
from trainer.native.frozen import Precision
from trainer.native.model import NativeModel, build_native

LARGEST_LOSS_DIFFERENCE: Final = 0.003  # from the loss on the NF4 base, before each update, as a share of that loss
_PRECISIONS: Final[tuple[Precision, ...]] = ("nf4", "bf16", "fp8")
_TIMED_STEPS: Final = 4
_SHARE_OF_MEMORY: Final = 0.9  # the rest is lost between the allocator's blocks, or is needed later
_CPU_TOKENS: Final = 8_192
_RIGHT: Final = "right"

# From tokens at once and number of recomputed layers to the bytes that a pass takes; None where memory ran out.
Measure = Callable[[int, int], int | None]


@dataclass(frozen=True)
class Fit:
    """The largest pass that fits on this GPU."""

    tokens: int
    num_recomputed: int


@dataclass(frozen=True)
class Trial:
    """Speed and losses of one precision of the base; None where they were not measured."""

    precision: Precision
    tokens_per_s: float | None
    losses: (
        tuple[float, ...] | None
    )  # mean over answer tokens, before the first update and after each update but the last
    verdict: str
    is_chosen: bool = False


@torch.no_grad()
def document_leakage(native: NativeModel, *, vocabulary: int) -> float:
    """The largest change of a document's logits when another stands before it, as a share of the largest logit.

    Rounding alone gives 1e-6 in float32 and about 1e-3 in bfloat16; documents that see each other give about 1.
    """
    generator = torch.Generator().manual_seed(0)
    first, second = (
        Example(row, torch.randint(vocabulary, (length,), generator=generator).tolist(), num_prompt=1, num_cut=0)
        for row, length in enumerate((17, 131))
    )
    num_answers = len(second.ids) - 1
    together, alone = (make_batch(examples, max_tokens=256) for examples in ((first, second), (second,)))
    together_AV = native.logits(together)[: together.num_answer_tokens][-num_answers:].float()
    alone_AV = native.logits(alone)[:num_answers].float()
    return ((together_AV - alone_AV).abs().max() / alone_AV.abs().max()).item()


def fit_to_memory(native: NativeModel, *, max_length: int, most: int) -> tuple[NativeModel, int]:
    """The model, set to recompute its layers if it must, and the tokens of a batch, at most `most`."""
    device = native.embedding_VC.device
    if device.type != "cuda":
        return native, max(max_length, min(most, _CPU_TOKENS))
    fit = find_fit(
        lambda tokens, num_recomputed: pass_bytes(native, tokens, num_recomputed=num_recomputed, max_length=max_length),
        room=memory_room(device) - 2 * native.adapter_LP.nbytes,  # for the optimizer's state
        max_length=max_length,
        most=most,
        num_layers=native.shape.num_layers,
    )
    return replace(native, num_recomputed=fit.num_recomputed), fit.tokens


def find_fit(measure: Measure, *, room: int, max_length: int, most: int, num_layers: int) -> Fit:
    """The most tokens at once, in whole packs. No layer is recomputed if one pack fits without, else all layers are.

    Memory grows linearly with tokens: two passes measure how fast, a third one confirms it. UserError if nothing fits.
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
        " the backward pass: lower --max-length, or use a smaller base"
    )


def pass_bytes(native: NativeModel, tokens: int, *, num_recomputed: int, max_length: int) -> int | None:
    """Bytes that a forward and backward pass takes beyond those already allocated; None where memory ran out."""
    examples = [Example(row, [1] * max_length, 1, 0) for row in range(tokens // max_length)]
    tried = replace(native, num_recomputed=num_recomputed)
    try:
        return measured_bytes(lambda: tried.loss(make_batch(examples, max_tokens=tokens)), native.embedding_VC.device)
    finally:
        native.adapter_LP.grad = None


def measured_bytes(loss: Callable[[], Tensor], device: torch.device) -> int | None:
    """Bytes that computing this loss and its gradients takes on a GPU; None where memory ran out."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    try:
        loss().backward()
        torch.cuda.synchronize(device)
    except torch.OutOfMemoryError:
        return None
    return torch.cuda.max_memory_allocated(device) - before


def memory_room(device: torch.device) -> int:
    """Bytes of a GPU's memory that this process may still use."""
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return int(_SHARE_OF_MEMORY * free)


def try_precisions(
    model: PeftModel, packs: Sequence[Pack], *, max_length: int, most: int, learning_rate: float
) -> list[Trial]:
    """A few training steps on these packs in each precision; the chosen one is the fastest that is right.

    A precision is right if its losses are near enough to NF4's, also after updates, so that gradients count too. The
    model's adapter stays as it is.
    """
    trials: list[Trial] = []
    for precision in _PRECISIONS:
        try:
            native, tokens = fit_to_memory(build_native(model, precision=precision), max_length=max_length, most=most)
            trials.append(_try(native, precision, packs=packs, tokens=tokens, learning_rate=learning_rate))
        except UserError as error:
            trials.append(Trial(precision, None, None, str(error)))
        except torch.OutOfMemoryError:
            trials.append(Trial(precision, None, None, "does not fit"))
    return judge(trials)


def judge(trials: Sequence[Trial]) -> list[Trial]:
    """The trials with their verdicts. UserError where NF4, with which the others are compared, was not measured."""
    reference = trials[0].losses
    if reference is None:
        raise UserError(f"the native engine cannot train this base in nf4: {trials[0].verdict}")
    judged = [
        trial if trial.losses is None else replace(trial, verdict=_verdict(trial.losses, reference)) for trial in trials
    ]
    fastest = max((trial for trial in judged if trial.verdict == _RIGHT), key=lambda trial: trial.tokens_per_s or 0)
    return [replace(trial, is_chosen=trial is fastest) for trial in judged]


def _verdict(losses: Sequence[float], reference: Sequence[float]) -> str:
    apart = [abs(loss - exact) / exact for loss, exact in zip(losses, reference, strict=True)]
    # Written with `not`, so that a loss of NaN is wrong too.
    if wrong := [number for number, share in enumerate(apart) if not share <= LARGEST_LOSS_DIFFERENCE]:
        first = wrong[0]
        return f"loss differs by {apart[first]:.2%} after {first} updates, allowed {LARGEST_LOSS_DIFFERENCE:.2%}"
    return _RIGHT


def _try(
    native: NativeModel, precision: Precision, *, packs: Sequence[Pack], tokens: int, learning_rate: float
) -> Trial:
    batches = list(make_batches(packs, max_tokens=tokens))
    device = native.embedding_VC.device
    optimizer = torch.optim.AdamW(native.parameters(), lr=learning_rate, fused=True)
    loss_sums = []
    for number in range(1 + _TIMED_STEPS):
        if number == 1:  # the first step compiles the kernels
            _wait(device)
            started = time.perf_counter()
        loss_sum = torch.zeros((), device=device)
        for batch in batches:
            loss = native.loss(batch)
            loss.backward()  # of the sum, which fits into float16; AdamW's step does not depend on the scale
            loss_sum += loss.detach()
        loss_sums.append(loss_sum)
        optimizer.step()
        optimizer.zero_grad()
    _wait(device)
    seconds = time.perf_counter() - started
    num_tokens = _TIMED_STEPS * sum(batch.num_tokens for batch in batches)
    num_answers = max(1, sum(batch.num_answer_tokens for batch in batches))
    return Trial(precision, num_tokens / seconds, tuple(loss_sum.item() / num_answers for loss_sum in loss_sums), "")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
