"""Passes before training: do the kernels work, do documents see each other, how many tokens fit at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from contract.errors import UserError
from trainer.examples.encoder import Example
from trainer.native import loss
from trainer.native.batch import make_batch, padded_size
from trainer.native.frozen import Fp8Weight
from trainer.native.layer import make_tables
from trainer.native.model import NativeModel
from trainer.native.reference import reference_layer

_SHARE_OF_MEMORY: Final = 0.9  # the rest is lost between the allocator's blocks, or is needed later
_CPU_TOKENS: Final = 8_192
_CAPTURED_TOKENS: Final = 65_536  # at most: each size that is tried is compiled

# Of kernels to plain PyTorch, as a share; rounding gives 0.02 to 0.04 in 16 bit and 0.06 in FP8.
_LARGEST_DISTANCE: Final = 0.1
_LARGEST_DISTANCE_IN_FP8: Final = 0.3

_LONGEST_LINE: Final = 200  # characters of an error of Triton

# From tokens at once and number of recomputed layers to the bytes that a pass takes; None where memory ran out.
Measure = Callable[[int, int], int | None]


@dataclass(frozen=True)
class Fit:
    """The largest pass that fits on this GPU."""

    tokens: int
    num_recomputed: int


def with_kernels_that_work(native: NativeModel) -> NativeModel:
    """The model, without kernels where they fail on this GPU or compute another layer than plain PyTorch does."""
    if native.layer_function is reference_layer:
        return native
    plain = replace(native, layer_function=reference_layer, entropy=loss.cross_entropy_in_place)
    why = _kernel_problem(native, plain)
    return native if why is None else replace(plain, without_kernels=why)


def _kernel_problem(native: NativeModel, plain: NativeModel) -> str | None:
    """What is wrong with the kernels of the first layer and of the loss, in one line."""
    expected = _small_pass(plain)
    try:
        found = _small_pass(native)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # Triton, its compilers and its launcher share no type of errors
        return f"they fail on this GPU ({_line(error)})"
    pairs = [(one.double(), right.double()) for one, right in zip(found, expected, strict=True)]
    largest = torch.stack([(one - right).norm() / right.norm() for one, right in pairs]).max().item()
    is_fp8 = isinstance(native.layers[0].weights[0], Fp8Weight)
    most = _LARGEST_DISTANCE_IN_FP8 if is_fp8 else _LARGEST_DISTANCE
    if not largest <= most:  # also where it is no number
        return f"on this GPU they are {largest:.2g} of its size away from plain PyTorch, expected at most {most}"
    return None


def _line(error: Exception) -> str:
    """The kind of an error and the first line of its text, cut."""
    text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text[:_LONGEST_LINE]}"


def _small_pass(native: NativeModel) -> list[Tensor]:
    """What the first layer adds to a few random rows, its gradients with a random adapter, and losses of random logits.

    Compiles all kernels that training launches.
    """
    examples = [Example(row, [1] * length, 1, 0) for row, length in enumerate((17, 70, 41))]
    batch = make_batch(examples, max_tokens=128).to(native.embedding_VC.device)
    generator = torch.Generator().manual_seed(0)

    def random(like: Tensor, *shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(like)

    x_TC = (0.1 * random(native.embedding_VC, len(batch.ids_T), native.shape.hidden)).requires_grad_()
    values_P = (0.05 * random(native.adapter_LP, native.layout.num_values)).requires_grad_()
    y_TC = native.layer_function(x_TC, values_P, native.layers[0], make_tables(batch, native.rope))
    grad_x_TC, grad_P = torch.autograd.grad(y_TC, (x_TC, values_P), random(x_TC, *x_TC.shape))
    logits_AV = random(x_TC, 16, native.embedding_VC.shape[0])
    loss_A = native.entropy(logits_AV, torch.arange(16, device=x_TC.device))
    matrices = [matrix for lora in native.layout.split(grad_P) for matrix in (lora.down_MK, lora.up_NR)]
    return [(y_TC - x_TC).detach(), grad_x_TC, *matrices, logits_AV, loss_A]


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


def capture(native: NativeModel, *, max_length: int, most: int) -> tuple[NativeModel, int]:
    """The merged model, captured for batches of the most tokens that fit, in whole packs, and those tokens.

    UserError where not even one pack fits, or where the step cannot be compiled.
    """
    packs = max(1, min(most, _CAPTURED_TOKENS) // max_length)
    while packs:
        tokens = packs * max_length
        if (captured := _captured(native, max_length=max_length, tokens=tokens)) is not None:
            return captured, tokens
        packs //= 2
    raise UserError(f"a pack of {max_length} tokens does not fit into this GPU's memory with the adapter merged")


def _captured(native: NativeModel, *, max_length: int, tokens: int) -> NativeModel | None:
    """The model captured for batches of these tokens, after one pass as a trial; None where memory ran out."""
    assert native.merged is not None
    examples = [Example(row, [1] * max_length, 1, 0) for row in range(tokens // max_length)]
    size = padded_size(tokens, max_tokens=tokens, sizes=1)
    try:
        captured = replace(native, merged=native.merged.capture(native.adapter_LP, num_tokens=size))
        captured.loss(make_batch(examples, max_tokens=tokens, sizes=1)).backward()
    except torch.OutOfMemoryError:
        return None
    except Exception as error:  # compilers share no type of errors
        raise UserError(f"a step with the adapter merged cannot be captured ({_line(error)})") from error
    finally:
        native.adapter_LP.grad = None
    return captured


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
