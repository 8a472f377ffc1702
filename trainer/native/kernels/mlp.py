"""SwiGLU: silu(gate) * up, with the LoRA parts of the projections before and after it."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from trainer.native.kernels.columns import write_fp8
from trainer.native.kernels.fitted import fitted
from trainer.native.kernels.records import LayerConstants, LowRank
from trainer.native.kernels.rounding import Fp8Matrix, empty_fp8, parts
from trainer.native.kernels.sizes import block, tiles
from trainer.native.kernels.thin import kernel_inputs, kernel_inputs_backward, low_of, low_of_gradient


def swiglu_forward(
    base_T2F: Tensor, low: LowRank, *, rstd_T: Tensor, down_RF: Tensor, constants: LayerConstants
) -> tuple[Tensor | Fp8Matrix, Tensor]:
    """silu(gate) * up, T x F, and its product with A^T * scaling, T x R. Gate and up are base * rstd + low B^T."""
    num_rows, num_columns, has_thin = base_T2F.shape[0], down_RF.shape[1], constants.has_thin
    mixed_TF = base_T2F.new_empty(num_rows, num_columns)
    low_out_TR = base_T2F.new_empty(num_rows, down_RF.shape[0]) if has_thin else None
    mixed8 = empty_fp8(mixed_TF) if constants.to_fp8 else None
    low_in, up, rank, ranks = kernel_inputs(low, nums_out=(num_columns, num_columns), has_thin=has_thin)
    _swiglu_forward.launch(
        base_T2F, rstd_T, low_in, up, down_RF, mixed_TF, low_out_TR, *parts(mixed8),
        constants.scaling,
        F=num_columns, R=rank, P=ranks, TO_FP8=constants.to_fp8,
        grid=lambda tile: (num_rows // tile.rows,),
        sizes=lambda tile: {"BT": tile.rows, "BF": block(num_columns, most=tile.columns)},
    )  # fmt: skip
    if low_out_TR is None:
        low_out_TR = low_of(mixed_TF, down_RF.T, factor=constants.scaling)
    return mixed8 or mixed_TF, low_out_TR


def swiglu_backward(
    grad_TF: Tensor, grad_low: LowRank, *, base_T2F: Tensor, rstd_T: Tensor, low: LowRank, constants: LayerConstants
) -> tuple[Tensor | Fp8Matrix, Tensor, Tensor]:
    """The gradient of gate and up side by side, T x 2F; its product with B * scaling, T x M; and with gate and up, T.

    The gradient of the mixed values is `grad_TF` + grad_low A. Overwrites `base_T2F`, with the result where that is
    not in FP8.
    """
    (num_rows, num_columns), has_thin = grad_TF.shape, constants.has_thin
    nums_out = (num_columns, num_columns)
    low_out_TM = torch.empty_like(low.low_TM) if has_thin else None
    projected_T = torch.empty_like(rstd_T)
    grad8 = empty_fp8(base_T2F) if constants.to_fp8 else None
    low_grad, down, _, _ = kernel_inputs_backward(grad_low, has_thin=has_thin)
    low_in, up, rank, ranks = kernel_inputs(low, nums_out=nums_out, has_thin=has_thin)
    _swiglu_backward.launch(
        grad_TF, low_grad, down, base_T2F, rstd_T, low_in, up, low_out_TM, projected_T,
        *parts(grad8),
        constants.scaling,
        F=num_columns, R=rank, P=ranks, TO_FP8=constants.to_fp8,
        grid=lambda tile: (num_rows // tile.rows,),
        sizes=lambda tile: {"BT": tile.rows, "BF": block(num_columns, most=tile.columns)},
    )  # fmt: skip
    if low_out_TM is None:
        low_out_TM = low_of_gradient(base_T2F, low.matrix, nums_out=nums_out, scaling=constants.scaling)
    return grad8 or base_T2F, low_out_TM, projected_T


@triton.jit
def _gate_and_up(
    base_ptr, up_ptr, rstd, low_gate, low_up, rows, columns, F: tl.constexpr, R: tl.constexpr, P: tl.constexpr
):
    """Gate and up in these columns (BT x BF), and the rows of B that were used for each (P x BF).

    Shapes: base T x 2F; up (B) 2F x R; rstd, rows BT; low_gate, low_up BT x P; columns BF.
    """
    ranks = tl.arange(0, P)
    at = rows[:, None] * 2 * F + columns[None, :]
    up_at = columns[None, :] * R + ranks[:, None]
    gate_up = tl.load(up_ptr + up_at, mask=ranks[:, None] < R, other=0.0)
    up_up = tl.load(up_ptr + up_at + F * R, mask=ranks[:, None] < R, other=0.0)
    gate = tl.load(base_ptr + at).to(tl.float32) * rstd[:, None]
    up = tl.load(base_ptr + at + F).to(tl.float32) * rstd[:, None]
    gate = tl.dot(low_gate, gate_up, gate, input_precision="ieee")
    up = tl.dot(low_up, up_up, up, input_precision="ieee")
    return gate, up, gate_up, up_up


@triton.jit
def _whole_gate_and_up(base_ptr, product_ptr, rstd, rows, columns, F: tl.constexpr):
    """Gate and up in these columns, BT x BF, from low B^T itself. Shapes: base, product T x 2F; the others as above."""
    at = rows[:, None] * 2 * F + columns[None, :]
    gate = tl.load(base_ptr + at).to(tl.float32) * rstd[:, None] + tl.load(product_ptr + at).to(tl.float32)
    up = tl.load(base_ptr + at + F).to(tl.float32) * rstd[:, None] + tl.load(product_ptr + at + F).to(tl.float32)
    return gate, up


@fitted(tiles())
@triton.jit
def _swiglu_forward(
    base_ptr, rstd_ptr, low_ptr, up_ptr, down_ptr, mixed_ptr, low_out_ptr, mixed8_ptr, scale_ptr,
    scaling,
    F: tl.constexpr, R: tl.constexpr, P: tl.constexpr, BT: tl.constexpr, BF: tl.constexpr, TO_FP8: tl.constexpr,
):  # fmt: skip
    """Shapes: base T x 2F; rstd, scale T; low T x M, M = 2R; up (B) 2F x R; down (A) R x F; mixed, mixed8 T x F;
    low_out T x R. If P is 0, low is T x 2F, and there is no up, down and low_out.
    """
    first = tl.program_id(0).to(tl.int64) * BT
    rows = tl.arange(0, BT)
    dtype = mixed_ptr.dtype.element_ty
    base_ptr += first * 2 * F
    rstd = tl.load(rstd_ptr + first + rows)
    mixed_ptr += first * F
    if P > 0:
        ranks = tl.arange(0, P)
        low_ptr += first * 2 * R + rows[:, None] * 2 * R + ranks[None, :]
        low_gate = tl.load(low_ptr, mask=ranks[None, :] < R, other=0.0)
        low_up = tl.load(low_ptr + R, mask=ranks[None, :] < R, other=0.0)
        low_out = tl.zeros([BT, P], tl.float32)
    largest = tl.zeros([BT], tl.float32)
    for start in range(0, F, BF):
        columns = start + tl.arange(0, BF)
        if P > 0:
            gate, up, _, _ = _gate_and_up(base_ptr, up_ptr, rstd, low_gate, low_up, rows, columns, F, R, P)
        else:
            gate, up = _whole_gate_and_up(base_ptr, low_ptr + first * 2 * F, rstd, rows, columns, F)
        mixed = (gate * tl.sigmoid(gate) * up).to(dtype)
        tl.store(mixed_ptr + rows[:, None] * F + columns[None, :], mixed)
        if P > 0:
            down = tl.load(down_ptr + ranks[None, :] * F + columns[:, None], mask=ranks[None, :] < R, other=0.0)
            low_out = tl.dot(mixed, down, low_out, input_precision="ieee")
        if TO_FP8:
            largest = tl.maximum(largest, tl.max(tl.abs(mixed.to(tl.float32)), 1))
    if P > 0:
        low_out = (low_out * scaling).to(dtype)
        tl.store(low_out_ptr + first * R + rows[:, None] * R + ranks[None, :], low_out, mask=ranks[None, :] < R)
    if TO_FP8:
        write_fp8(mixed_ptr, mixed8_ptr + first * F, scale_ptr + first, largest, rows, F, BF)


@fitted(tiles(columns=64))
@triton.jit
def _swiglu_backward(
    grad_ptr, low_grad_ptr, down_ptr, base_ptr, rstd_ptr, low_ptr, up_ptr, low_out_ptr, projected_ptr, grad8_ptr,
    scale_ptr,
    scaling,
    F: tl.constexpr, R: tl.constexpr, P: tl.constexpr, BT: tl.constexpr, BF: tl.constexpr, TO_FP8: tl.constexpr,
):  # fmt: skip
    """Shapes: grad T x F; low_grad T x R; down (A) R x F; base, grad8 T x 2F; rstd, projected, scale T;
    low, low_out T x M, M = 2R; up (B) 2F x R. If P is 0, low_grad is T x F and low T x 2F, and there is no down, up
    and low_out.
    """
    first = tl.program_id(0).to(tl.int64) * BT
    rows = tl.arange(0, BT)
    dtype = base_ptr.dtype.element_ty
    base_ptr += first * 2 * F
    rstd = tl.load(rstd_ptr + first + rows)
    grad_ptr += first * F
    if P > 0:
        ranks = tl.arange(0, P)
        low_at = first * 2 * R + rows[:, None] * 2 * R + ranks[None, :]
        low_gate = tl.load(low_ptr + low_at, mask=ranks[None, :] < R, other=0.0)
        low_up = tl.load(low_ptr + low_at + R, mask=ranks[None, :] < R, other=0.0)
        low_grad_ptr += first * R + rows[:, None] * R + ranks[None, :]
        low_grad = tl.load(low_grad_ptr, mask=ranks[None, :] < R, other=0.0)
        out_gate = tl.zeros([BT, P], tl.float32)
        out_up = tl.zeros([BT, P], tl.float32)
    largest = tl.zeros([BT], tl.float32)
    projected = tl.zeros([BT], tl.float32)
    for start in range(0, F, BF):
        columns = start + tl.arange(0, BF)
        if P > 0:
            gate, up, gate_up, up_up = _gate_and_up(base_ptr, up_ptr, rstd, low_gate, low_up, rows, columns, F, R, P)
            down = tl.load(down_ptr + ranks[:, None] * F + columns[None, :], mask=ranks[:, None] < R, other=0.0)
        else:
            gate, up = _whole_gate_and_up(base_ptr, low_ptr + first * 2 * F, rstd, rows, columns, F)
        grad = tl.load(grad_ptr + rows[:, None] * F + columns[None, :]).to(tl.float32)
        if P > 0:
            grad = tl.dot(low_grad, down, grad, input_precision="ieee")
        else:
            grad += tl.load(low_grad_ptr + first * F + rows[:, None] * F + columns[None, :]).to(tl.float32)
        sigmoid = tl.sigmoid(gate)
        slope = gate * (1.0 - sigmoid)
        grad_silu = grad * up * sigmoid
        # Adds (gradient of gate) * gate + (gradient of up) * up.
        projected += tl.sum(grad_silu * gate * (2.0 + slope), 1)
        grad_gate = (grad_silu * (1.0 + slope)).to(dtype)
        grad_up = (grad * gate * sigmoid).to(dtype)
        at = rows[:, None] * 2 * F + columns[None, :]
        tl.store(base_ptr + at, grad_gate)
        tl.store(base_ptr + at + F, grad_up)
        if P > 0:
            out_gate = tl.dot(grad_gate, tl.trans(gate_up), out_gate, input_precision="ieee")
            out_up = tl.dot(grad_up, tl.trans(up_up), out_up, input_precision="ieee")
        if TO_FP8:
            both = tl.maximum(tl.abs(grad_gate.to(tl.float32)), tl.abs(grad_up.to(tl.float32)))
            largest = tl.maximum(largest, tl.max(both, 1))
    tl.store(projected_ptr + first + rows, projected)
    if P > 0:
        tl.store(low_out_ptr + low_at, (out_gate * scaling).to(dtype), mask=ranks[None, :] < R)
        tl.store(low_out_ptr + low_at + R, (out_up * scaling).to(dtype), mask=ranks[None, :] < R)
    if TO_FP8:
        write_fp8(base_ptr, grad8_ptr + first * 2 * F, scale_ptr + first, largest, rows, 2 * F, BF)
