"""Kernels that go over whole rows: the sum into the residual stream, the norm's factor, the LoRA product, FP8.

The norm's weight is folded into the matrices after it (`trainer.native.layer`), and the kernel that reads the
projection's output applies the norm's factor, one a row. So in 16 bit the projection's input is the residual stream
itself, and no other input is written. The norm's gradient needs a sum over each row, sum(grad_x * x). It equals
sum(grad_y * y), as y is linear in x, and is taken where y and its gradient are read anyway.
"""

from dataclasses import dataclass, replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from trainer.native.kernels.columns import write_fp8
from trainer.native.kernels.fitted import fitted
from trainer.native.kernels.records import LayerConstants, LowRank, Normed
from trainer.native.kernels.rounding import OFF_GRID, Fp8Matrix, empty_fp8, parts
from trainer.native.kernels.sizes import block, rank_block, tiles
from trainer.native.kernels.thin import kernel_inputs, kernel_inputs_backward, low_of


@dataclass(frozen=True)
class ResidualAddend:
    """A projection's output that is not yet in the residual stream: base / OFF_GRID + low B^T."""

    base_TC: Tensor
    low: LowRank


@dataclass(frozen=True)
class ResidualNorm:
    """The residual stream before a norm, and what the projection after the norm reads."""

    sum_TC: Tensor
    input: Tensor | Fp8Matrix  # `sum_TC` itself, or the same in FP8
    low_TM: Tensor  # (normed rows) A^T * scaling
    rstd_T: Tensor  # one over the root mean square of each row


@dataclass(frozen=True)
class ResidualGradient:
    """The gradient of the residual stream before a norm, and what the projection that was added to it reads of it."""

    grad_TC: Tensor
    low_TR: Tensor  # grad B * scaling, with B of that projection
    output: Tensor | Fp8Matrix  # `grad_TC` itself, or the same in FP8


def residual_norm_forward(
    x_TC: Tensor, addend: ResidualAddend | None, *, down_MC: Tensor, constants: LayerConstants
) -> ResidualNorm:
    """x plus the addend, its norm's factor, and its product with A (`down_MC`)."""
    return _forward(x_TC, addend, thin_NM=down_MC.T, eps=constants.eps, constants=constants)


def low_product(x_TN: Tensor, thin_NR: Tensor, *, constants: LayerConstants) -> tuple[Tensor, Tensor | Fp8Matrix]:
    """x thin * scaling (T x R; `thin_NR` may be a transposed view), and x itself or in FP8."""
    if not (constants.has_thin or constants.to_fp8):
        return low_of(x_TN, thin_NR, factor=constants.scaling), x_TN
    rows = _forward(x_TN, None, thin_NM=thin_NR, eps=None, constants=constants)
    return rows.low_TM, rows.input


def residual_norm_backward(
    grad_TC: Tensor, low: LowRank, *, normed: Normed, residual_TC: Tensor, constants: LayerConstants
) -> Tensor:
    """The gradient of x, which went through the norm, and past it with the gradient `residual_TC`.

    The gradient of the normed x is `grad_TC` + low A.
    """
    constants = replace(constants, to_fp8=False)  # nothing is prepared for a projection
    return _backward(grad_TC, low, normed=normed, residual_TC=residual_TC, up_CR=None, constants=constants).grad_TC


def residual_norm_backward_and_low(
    grad_TC: Tensor, low: LowRank, *, normed: Normed, residual_TC: Tensor, up_CR: Tensor, constants: LayerConstants
) -> ResidualGradient:
    """The same gradient, prepared for the projection whose output was added to x, B of which is `up_CR`."""
    return _backward(grad_TC, low, normed=normed, residual_TC=residual_TC, up_CR=up_CR, constants=constants)


def _forward(
    x_TN: Tensor, addend: ResidualAddend | None, *, thin_NM: Tensor, eps: float | None, constants: LayerConstants
) -> ResidualNorm:
    """`rstd_T` stays unwritten where `eps` is None: without a norm."""
    (num_rows, num_columns), num_low, has_thin = x_TN.shape, thin_NM.shape[1], constants.has_thin
    sum_TN = x_TN if addend is None else torch.empty_like(x_TN)
    low_TM = x_TN.new_empty(num_rows, num_low) if has_thin else None
    rstd_T = torch.empty(num_rows, device=x_TN.device)
    input8 = empty_fp8(x_TN) if constants.to_fp8 else None
    base, low_in, up, rank, up_block = None, None, None, 1, rank_block(1)
    if addend is not None:
        base = addend.base_TC
        low_in, up, rank, up_block = kernel_inputs(addend.low, nums_out=(num_columns,), has_thin=has_thin)
    is_read_twice = addend is None and (eps is not None or constants.to_fp8)
    (_ONE_AFTER_ANOTHER if is_read_twice else _LOADED_AHEAD).launch(
        x_TN, base, low_in, up, sum_TN, thin_NM, low_TM, *parts(input8), rstd_T,
        eps or 0.0, constants.scaling, 1 / OFF_GRID, thin_NM.stride(0), thin_NM.stride(1),
        N=num_columns, M=num_low if has_thin else 1, P=rank_block(num_low) if has_thin else 0,
        R=rank, PR=up_block,
        HAS_ADDEND=addend is not None, HAS_NORM=eps is not None, TO_FP8=constants.to_fp8,
        grid=lambda tile: (num_rows // tile.rows,),
        sizes=lambda tile: {"BT": tile.rows, "BN": block(num_columns, most=tile.columns)},
    )  # fmt: skip
    if low_TM is None:
        factor = constants.scaling if eps is None else rstd_T * constants.scaling
        low_TM = low_of(sum_TN, thin_NM, factor=factor)
    return ResidualNorm(sum_TN, input8 or sum_TN, low_TM, rstd_T)


def _backward(
    grad_TC: Tensor,
    low: LowRank,
    *,
    normed: Normed,
    residual_TC: Tensor,
    up_CR: Tensor | None,
    constants: LayerConstants,
) -> ResidualGradient:
    (num_rows, num_columns), has_thin = normed.x_TC.shape, constants.has_thin
    grad_x_TC = torch.empty_like(normed.x_TC)
    has_low = up_CR is not None and has_thin
    rank = up_CR.shape[1] if up_CR is not None and has_thin else 1
    low_out_TR = normed.x_TC.new_empty(num_rows, rank)
    grad8 = empty_fp8(normed.x_TC) if constants.to_fp8 else None
    low_in, down, num_low, low_block = kernel_inputs_backward(low, has_thin=has_thin)
    _norm_backward.launch(
        grad_TC, low_in, down, normed.x_TC, normed.rstd_T, normed.projected_T, residual_TC, grad_x_TC, up_CR,
        low_out_TR, *parts(grad8),
        constants.scaling,
        C=num_columns, M=num_low, P=low_block, R=rank, PR=rank_block(rank),
        HAS_LOW=has_low, TO_FP8=constants.to_fp8,
        grid=lambda tile: (num_rows // tile.rows,),
        sizes=lambda tile: {"BT": tile.rows, "BC": block(num_columns, most=tile.columns)},
    )  # fmt: skip
    if up_CR is not None and not has_thin:
        low_out_TR = low_of(grad_x_TC, up_CR, factor=constants.scaling)
    return ResidualGradient(grad_x_TC, low_out_TR, grad8 or grad_x_TC)


@triton.jit
def _rows_forward(
    x_ptr, base_ptr, low_in_ptr, up_ptr, sum_ptr, thin_ptr, low_ptr, x8_ptr, scale_ptr, rstd_ptr,
    eps, scaling, unscale, thin_stride_n, thin_stride_m,
    N: tl.constexpr, M: tl.constexpr, P: tl.constexpr, R: tl.constexpr, PR: tl.constexpr,
    BT: tl.constexpr, BN: tl.constexpr, HAS_ADDEND: tl.constexpr, HAS_NORM: tl.constexpr, TO_FP8: tl.constexpr,
):  # fmt: skip
    """Shapes: x, base, sum, x8 T x N; low_in T x R; up (B) N x R; thin N x M, by its strides; low T x M;
    scale, rstd T. Without thin products P and PR are 0, and low_in is T x N.
    """
    first = tl.program_id(0).to(tl.int64) * BT
    rows = tl.arange(0, BT)
    dtype = x_ptr.dtype.element_ty
    x_ptr += first * N
    sum_ptr += first * N
    if HAS_ADDEND and PR > 0:
        up_ranks = tl.arange(0, PR)
        low_in_at = first * R + rows[:, None] * R + up_ranks[None, :]
        low_in = tl.load(low_in_ptr + low_in_at, mask=up_ranks[None, :] < R, other=0.0)
    squares = tl.zeros([BT], tl.float32)
    largest = tl.zeros([BT], tl.float32)
    if P > 0:
        ranks = tl.arange(0, P)
        low = tl.zeros([BT, P], tl.float32)
    for start in range(0, N, BN):
        columns = start + tl.arange(0, BN)
        at = rows[:, None] * N + columns[None, :]
        x = tl.load(x_ptr + at)
        if HAS_ADDEND:
            if PR > 0:
                up = tl.load(up_ptr + columns[None, :] * R + up_ranks[:, None], mask=up_ranks[:, None] < R, other=0.0)
            total = x.to(tl.float32) + tl.load(base_ptr + first * N + at).to(tl.float32) * unscale
            if PR > 0:
                x = tl.dot(low_in, up, total, input_precision="ieee").to(dtype)
            else:
                x = (total + tl.load(low_in_ptr + first * N + at).to(tl.float32)).to(dtype)
            tl.store(sum_ptr + at, x)
        if P > 0:
            thin_at = columns[:, None] * thin_stride_n + ranks[None, :] * thin_stride_m
            thin = tl.load(thin_ptr + thin_at, mask=ranks[None, :] < M, other=0.0)
            low = tl.dot(x, thin, low, input_precision="ieee")
        if HAS_NORM:
            squares += tl.sum(x.to(tl.float32) * x.to(tl.float32), 1)
        if TO_FP8:
            largest = tl.maximum(largest, tl.max(tl.abs(x.to(tl.float32)), 1))
    if HAS_NORM:
        rstd = 1.0 / tl.sqrt(squares / N + eps)
        tl.store(rstd_ptr + first + rows, rstd)
    if P > 0:
        if HAS_NORM:
            low *= rstd[:, None]
        low_at = first * M + rows[:, None] * M + ranks[None, :]
        tl.store(low_ptr + low_at, (low * scaling).to(dtype), mask=ranks[None, :] < M)
    if TO_FP8:
        write_fp8(sum_ptr, x8_ptr + first * N, scale_ptr + first, largest, rows, N, BN)


_LOADED_AHEAD = fitted(tiles(stages=2))(_rows_forward)
# Where a block of x is read from memory, multiplied with A and used once more, Triton 3.6 keeps one buffer for it. On
# an H100 or H200 it would load the next block while the product, which is asynchronous, still reads this one.
_ONE_AFTER_ANOTHER = fitted(tiles(stages=1))(_rows_forward)


@fitted(tiles())
@triton.jit
def _norm_backward(
    grad_ptr, low_ptr, down_ptr, x_ptr, rstd_ptr, projected_ptr, residual_ptr, grad_x_ptr, up_ptr, low_out_ptr,
    grad8_ptr, scale_ptr,
    scaling,
    C: tl.constexpr, M: tl.constexpr, P: tl.constexpr, R: tl.constexpr, PR: tl.constexpr,
    BT: tl.constexpr, BC: tl.constexpr, HAS_LOW: tl.constexpr, TO_FP8: tl.constexpr,
):  # fmt: skip
    """Shapes: grad, x, residual, grad_x, grad8 T x C; low T x M; down (A) M x C; rstd, projected, scale T;
    up (B of the projection before x) C x R; low_out T x R. If P is 0, low is T x C and there is no down.
    """
    first = tl.program_id(0).to(tl.int64) * BT
    rows, up_ranks = tl.arange(0, BT), tl.arange(0, PR)
    dtype = x_ptr.dtype.element_ty
    grad_ptr += first * C
    x_ptr += first * C
    residual_ptr += first * C
    grad_x_ptr += first * C
    rstd = tl.load(rstd_ptr + first + rows)
    shrink = tl.load(projected_ptr + first + rows) * rstd / C
    if P > 0:
        ranks = tl.arange(0, P)
        low = tl.load(low_ptr + first * M + rows[:, None] * M + ranks[None, :], mask=ranks[None, :] < M, other=0.0)
    low_out = tl.zeros([BT, PR], tl.float32)
    largest = tl.zeros([BT], tl.float32)
    for start in range(0, C, BC):
        columns = start + tl.arange(0, BC)
        at = rows[:, None] * C + columns[None, :]
        if P > 0:
            down = tl.load(down_ptr + ranks[:, None] * C + columns[None, :], mask=ranks[:, None] < M, other=0.0)
        grad = tl.load(grad_ptr + at).to(tl.float32)
        if P > 0:
            grad = tl.dot(low, down, grad, input_precision="ieee")
        else:
            grad += tl.load(low_ptr + first * C + at).to(tl.float32)
        grad = (grad - tl.load(x_ptr + at).to(tl.float32) * shrink[:, None]) * rstd[:, None]
        grad_x = (grad + tl.load(residual_ptr + at).to(tl.float32)).to(dtype)
        tl.store(grad_x_ptr + at, grad_x)
        if HAS_LOW:
            up = tl.load(up_ptr + columns[:, None] * R + up_ranks[None, :], mask=up_ranks[None, :] < R, other=0.0)
            low_out = tl.dot(grad_x, up, low_out, input_precision="ieee")
        if TO_FP8:
            largest = tl.maximum(largest, tl.max(tl.abs(grad_x.to(tl.float32)), 1))
    if HAS_LOW:
        low_out_at = first * R + rows[:, None] * R + up_ranks[None, :]
        tl.store(low_out_ptr + low_out_at, (low_out * scaling).to(dtype), mask=up_ranks[None, :] < R)
    if TO_FP8:
        write_fp8(grad_x_ptr, grad8_ptr + first * C, scale_ptr + first, largest, rows, C, BC)
