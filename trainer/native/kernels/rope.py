"""From the projection of queries, keys and values to attention: LoRA, bias, norm of heads, rotation."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from trainer.native.kernels.columns import load_columns, mask_of, store_columns, write_fp8
from trainer.native.kernels.fitted import fitted
from trainer.native.kernels.records import LayerConstants, LowRank
from trainer.native.kernels.rounding import Fp8Matrix, empty_fp8, parts
from trainer.native.kernels.sizes import block, head_block, tiles
from trainer.native.kernels.thin import kernel_inputs, low_of_gradient


@dataclass(frozen=True)
class HeadInputs:
    """What is applied to the heads besides LoRA."""

    bias_N: Tensor | None
    norms_2D: Tensor | None  # weights of the norm of queries and of keys
    cos_TE: Tensor
    sin_TE: Tensor


def rope_forward(
    base_TN: Tensor, low: LowRank, *, rstd_T: Tensor, inputs: HeadInputs, constants: LayerConstants
) -> Tensor:
    """Queries, keys and values ready for attention, T x N, from base * rstd + low B^T.

    Overwrites `base_TN` with them, unless heads are normed.
    """
    out_TN = base_TN if inputs.norms_2D is None else torch.empty_like(base_TN)
    num_rows, num_heads = base_TN.shape[0], constants.heads + 2 * constants.kv_heads
    low_in, up, rank, ranks = kernel_inputs(low, nums_out=constants.nums_qkv, has_thin=constants.has_thin)
    _rope_forward.launch(
        base_TN, rstd_T, low_in, up, inputs.bias_N, inputs.norms_2D, inputs.cos_TE, inputs.sin_TE, out_TN,
        constants.eps,
        HEADS=constants.heads, KV_HEADS=constants.kv_heads, D=constants.head_dim, DP=head_block(constants.head_dim),
        R=rank, P=ranks,
        HAS_BIAS=inputs.bias_N is not None, HAS_NORM=inputs.norms_2D is not None,
        grid=lambda tile: (num_rows // tile.rows, num_heads),
        sizes=lambda tile: {"BT": tile.rows},
    )  # fmt: skip
    return out_TN


def rope_backward(
    grad_TN: Tensor, kept_TN: Tensor, *, rstd_T: Tensor, low: LowRank, inputs: HeadInputs, constants: LayerConstants
) -> tuple[Tensor | Fp8Matrix, Tensor, Tensor]:
    """The gradient of the projection's output, T x N; its product with B * scaling, T x M; and with the output, T.

    `kept_TN`: the projection's output where heads are normed, else what `rope_forward` returned. Overwrites `grad_TN`,
    with the result where that is not in FP8.
    """
    (num_rows, num_columns), has_thin = grad_TN.shape, constants.has_thin
    has_norm = inputs.norms_2D is not None
    low_in, up, rank, ranks = None, None, 1, 0  # without norms only the thin products inside the kernel need them
    if has_thin or has_norm:
        low_in, up, rank, ranks = kernel_inputs(low, nums_out=constants.nums_qkv, has_thin=has_thin)
    low_grad_TM = torch.empty_like(low.low_TM) if has_thin else None
    projected_T = torch.empty_like(rstd_T)
    grad8 = empty_fp8(grad_TN) if constants.to_fp8 else None
    _rope_backward.launch(
        grad_TN, kept_TN, rstd_T, low_in, up, inputs.bias_N, inputs.norms_2D, inputs.cos_TE, inputs.sin_TE,
        low_grad_TM, projected_T, *parts(grad8),
        constants.scaling, constants.eps,
        HEADS=constants.heads, KV_HEADS=constants.kv_heads, D=constants.head_dim, DP=head_block(constants.head_dim),
        R=rank, P=ranks,
        HAS_BIAS=inputs.bias_N is not None, HAS_NORM=has_norm, TO_FP8=constants.to_fp8,
        grid=lambda tile: (num_rows // tile.rows,),
        sizes=lambda tile: {"BT": tile.rows, "BN": block(num_columns, most=tile.columns)},
    )  # fmt: skip
    if low_grad_TM is None:
        low_grad_TM = low_of_gradient(grad_TN, low.matrix, nums_out=constants.nums_qkv, scaling=constants.scaling)
    return grad8 or grad_TN, low_grad_TM, projected_T


@triton.jit
def _load_line(pointers, half, E: tl.constexpr, EP: tl.constexpr):
    """The same values for all rows, 1 x EP, float32, with 0 from column E on."""
    values = tl.load(pointers) if E == EP else tl.load(pointers, mask=half < E, other=0.0)
    return values.to(tl.float32)[None, :]


@triton.jit
def _head_values(
    base_ptr, up_ptr, bias_ptr, rstd, low, rows, head,
    N: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, R: tl.constexpr, P: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    """Both halves of a head before norm and rotation, each BT x E.

    Shapes: base T x N; up (B) N x R; bias N; rstd, rows BT; low BT x P; head is a number. If P is 0, low is a pointer
    to low B^T, BT x N, and there is no up.
    """
    E: tl.constexpr = D // 2
    EP: tl.constexpr = DP // 2
    half = tl.arange(0, EP)
    columns = head * D + half
    first = load_columns(base_ptr + rows[:, None] * N + columns[None, :], half, E, EP).to(tl.float32) * rstd[:, None]
    second = (
        load_columns(base_ptr + rows[:, None] * N + columns[None, :] + E, half, E, EP).to(tl.float32) * rstd[:, None]
    )
    if P > 0:
        ranks = tl.arange(0, P)
        at = columns[None, :] * R + ranks[:, None]
        up_there = mask_of(ranks < R, half, E, EP)
        first = tl.dot(low, tl.load(up_ptr + at, mask=up_there, other=0.0), first, input_precision="ieee")
        at += E * R
        second = tl.dot(low, tl.load(up_ptr + at, mask=up_there, other=0.0), second, input_precision="ieee")
    else:
        low += rows[:, None] * N + columns[None, :]
        first += load_columns(low, half, E, EP).to(tl.float32)
        second += load_columns(low + E, half, E, EP).to(tl.float32)
    if HAS_BIAS:
        first += _load_line(bias_ptr + columns, half, E, EP)
        second += _load_line(bias_ptr + columns + E, half, E, EP)
    return first, second


@fitted(tiles())
@triton.jit
def _rope_forward(
    base_ptr, rstd_ptr, low_ptr, up_ptr, bias_ptr, norm_ptr, cos_ptr, sin_ptr, out_ptr,
    eps,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, R: tl.constexpr, P: tl.constexpr,
    BT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_NORM: tl.constexpr,
):  # fmt: skip
    """BT rows of one head. Shapes: base, out T x N; rstd T; low T x M, M = 3R; up (B) N x R; bias N; norm 2 x D;
    cos, sin T x E. If P is 0, low is T x N and there is no up.
    """
    N: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    E: tl.constexpr = D // 2
    EP: tl.constexpr = DP // 2
    first_row = tl.program_id(0).to(tl.int64) * BT
    head = tl.program_id(1)
    projection = (head >= HEADS).to(tl.int32) + (head >= HEADS + KV_HEADS).to(tl.int32)
    rows, half = tl.arange(0, BT), tl.arange(0, EP)
    if P > 0:
        ranks = tl.arange(0, P)
        low_ptr += first_row * 3 * R + projection * R
        low = tl.load(low_ptr + rows[:, None] * 3 * R + ranks[None, :], mask=ranks[None, :] < R, other=0.0)
    else:
        low = low_ptr + first_row * N
    rstd = tl.load(rstd_ptr + first_row + rows)
    base_ptr += first_row * N
    first, second = _head_values(base_ptr, up_ptr, bias_ptr, rstd, low, rows, head, N, D, DP, R, P, HAS_BIAS)
    if projection < 2:
        if HAS_NORM:
            head_rstd = 1.0 / tl.sqrt((tl.sum(first * first, 1) + tl.sum(second * second, 1)) / D + eps)
            norm_ptr += projection * D
            first *= head_rstd[:, None] * _load_line(norm_ptr + half, half, E, EP)
            second *= head_rstd[:, None] * _load_line(norm_ptr + half + E, half, E, EP)
        at = (first_row + rows)[:, None] * E + half[None, :]
        cos, sin = load_columns(cos_ptr + at, half, E, EP), load_columns(sin_ptr + at, half, E, EP)
        first, second = first * cos - second * sin, second * cos + first * sin
    out_ptr += first_row * N + rows[:, None] * N + head * D + half[None, :]
    store_columns(out_ptr, first.to(out_ptr.dtype.element_ty), half, E, EP)
    store_columns(out_ptr + E, second.to(out_ptr.dtype.element_ty), half, E, EP)


@fitted(tiles(), num_warps=2)
@triton.jit
def _rope_backward(
    grad_ptr, kept_ptr, rstd_ptr, low_ptr, up_ptr, bias_ptr, norm_ptr, cos_ptr, sin_ptr,
    low_grad_ptr, projected_ptr, grad8_ptr, scale_ptr,
    scaling, eps,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, R: tl.constexpr, P: tl.constexpr,
    BT: tl.constexpr, BN: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_NORM: tl.constexpr, TO_FP8: tl.constexpr,
):  # fmt: skip
    """BT rows of all heads. Shapes: grad, kept, grad8 T x N; rstd, projected, scale T; low, low_grad T x M, M = 3R;
    up (B) N x R; bias N; norm 2 x D; cos, sin T x E. If P is 0, low is T x N, and there is no up and low_grad.
    """
    N: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    E: tl.constexpr = D // 2
    EP: tl.constexpr = DP // 2
    first_row = tl.program_id(0).to(tl.int64) * BT
    rows, half = tl.arange(0, BT), tl.arange(0, EP)
    dtype = grad_ptr.dtype.element_ty
    grad_ptr += first_row * N
    kept_ptr += first_row * N
    rstd = tl.load(rstd_ptr + first_row + rows)
    at = (first_row + rows)[:, None] * E + half[None, :]
    cos, sin = load_columns(cos_ptr + at, half, E, EP), load_columns(sin_ptr + at, half, E, EP)
    largest = tl.zeros([BT], tl.float32)
    projected = tl.zeros([BT], tl.float32)
    for projection in tl.static_range(3):
        begin = 0 if projection == 0 else HEADS + (projection - 1) * KV_HEADS
        end = HEADS + projection * KV_HEADS
        if P > 0:
            ranks = tl.arange(0, P)
            total = tl.zeros([BT, P], tl.float32)
            low_at = first_row * 3 * R + rows[:, None] * 3 * R + projection * R + ranks[None, :]
            low = tl.load(low_ptr + low_at, mask=ranks[None, :] < R, other=0.0)
        elif HAS_NORM:
            low = low_ptr + first_row * N
        for head in range(begin, end):
            head_at = rows[:, None] * N + head * D + half[None, :]
            first = load_columns(grad_ptr + head_at, half, E, EP).to(tl.float32)
            second = load_columns(grad_ptr + head_at + E, half, E, EP).to(tl.float32)
            if HAS_NORM:
                y1, y2 = _head_values(kept_ptr, up_ptr, bias_ptr, rstd, low, rows, head, N, D, DP, R, P, HAS_BIAS)
            else:
                # Both are still rotated; a rotation leaves their dot product unchanged.
                y1 = load_columns(kept_ptr + head_at, half, E, EP).to(tl.float32)
                y2 = load_columns(kept_ptr + head_at + E, half, E, EP).to(tl.float32)
                projected += tl.sum(first * y1 + second * y2, 1)
            if projection < 2:
                first, second = first * cos + second * sin, second * cos - first * sin
                if HAS_NORM:
                    head_rstd = 1.0 / tl.sqrt((tl.sum(y1 * y1, 1) + tl.sum(y2 * y2, 1)) / D + eps)
                    first *= _load_line(norm_ptr + projection * D + half, half, E, EP)
                    second *= _load_line(norm_ptr + projection * D + half + E, half, E, EP)
                    shrink = tl.sum(first * y1 + second * y2, 1) * head_rstd * head_rstd / D
                    first = (first - y1 * shrink[:, None]) * head_rstd[:, None]
                    second = (second - y2 * shrink[:, None]) * head_rstd[:, None]
            if HAS_NORM:
                projected += tl.sum(first * y1 + second * y2, 1)
            if HAS_BIAS:  # `projected` is of the matrix product's output, which the bias is no part of
                projected -= tl.sum(first * _load_line(bias_ptr + head * D + half, half, E, EP), 1)
                projected -= tl.sum(second * _load_line(bias_ptr + head * D + half + E, half, E, EP), 1)
            store_columns(grad_ptr + head_at, first.to(dtype), half, E, EP)
            store_columns(grad_ptr + head_at + E, second.to(dtype), half, E, EP)
            if TO_FP8:
                largest = tl.maximum(largest, tl.maximum(tl.max(tl.abs(first), 1), tl.max(tl.abs(second), 1)))
            if P > 0:
                up_at = (head * D + half)[:, None] * R + ranks[None, :]
                up_there = ranks[None, :] < R
                if D < DP:
                    up_there = up_there & (half < E)[:, None]
                up = tl.load(up_ptr + up_at, mask=up_there, other=0.0)
                total = tl.dot(first.to(dtype), up, total, input_precision="ieee")
                up = tl.load(up_ptr + up_at + E * R, mask=up_there, other=0.0)
                total = tl.dot(second.to(dtype), up, total, input_precision="ieee")
        if P > 0:
            tl.store(low_grad_ptr + low_at, (total * scaling).to(dtype), mask=ranks[None, :] < R)
    tl.store(projected_ptr + first_row + rows, projected)
    if TO_FP8:
        write_fp8(grad_ptr, grad8_ptr + first_row * N, scale_ptr + first_row, largest, rows, N, BN)
