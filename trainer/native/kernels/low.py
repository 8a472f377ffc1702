"""The LoRA part of a sum, and the gradients of the matrices A and B."""

import triton
import triton.language as tl
from torch import Tensor

from trainer.native.frozen import OFF_GRID, Rows8, parts
from trainer.native.kernels.sizes import block, rank_block

_TOKENS_A_PROGRAM = 1024  # of a gradient's sum: fewer give more sums to add, more leave processors idle


def add_low(x_TN: Tensor, base_TN: Tensor, low_TR: Tensor, up_NR: Tensor) -> Tensor:
    """x + base / OFF_GRID + low up^T, rounded once, written over `base_TN`."""
    num_rows, num_columns = x_TN.shape
    rank, columns = up_NR.shape[1], block(num_columns, most=128)
    _add_low[(num_rows // 64, num_columns // columns)](
        x_TN, base_TN, low_TR, up_NR,
        1 / OFF_GRID,
        N=num_columns, R=rank, P=rank_block(rank), BT=64, BN=columns,
    )  # fmt: skip
    return base_TN


def down_gradient(low_TM: Tensor, x_TN: Tensor | Rows8, *, grad_MN: Tensor) -> None:
    """Adds the gradient of A, low^T x, to `grad_MN` (float32)."""
    _gradient(low_TM, x_TN, grad_MN, strides=grad_MN.stride(), num_low=low_TM.shape[1], bounds=())


def down_gradient_of_normed(low_TM: Tensor, x_TC: Tensor, rstd_T: Tensor, weight_C: Tensor, *, grad_MC: Tensor) -> None:
    """The same, where the rows are x * rstd * weight and were not kept."""
    normed = Rows8(x_TC, rstd_T)  # a matrix with one factor a row, of whatever type
    _gradient(low_TM, normed, grad_MC, strides=grad_MC.stride(), num_low=low_TM.shape[1], bounds=(), weight_C=weight_C)


def up_gradient(low_TM: Tensor, grad_TN: Tensor | Rows8, *, up_grad_NR: Tensor, nums_out: tuple[int, ...]) -> None:
    """Adds the gradient of B to `up_grad_NR` (float32): each projection's rows are its columns of grad^T times low."""
    strides = (up_grad_NR.stride(1), up_grad_NR.stride(0))
    bounds = tuple(sum(nums_out[:index]) for index in range(1, len(nums_out)))
    _gradient(low_TM, grad_TN, up_grad_NR, strides=strides, num_low=up_grad_NR.shape[1], bounds=bounds)


def _gradient(
    left_TM: Tensor,
    right_TN: Tensor | Rows8,
    out: Tensor,
    *,
    strides: tuple[int, ...],
    num_low: int,
    bounds: tuple[int, ...],
    weight_C: Tensor | None = None,
) -> None:
    values, scale = parts(right_TN)
    assert values is not None
    num_rows, num_columns = values.shape
    columns = min([block(num_columns, most=128), *(block(bound, most=128) for bound in bounds)])
    first, second = (*bounds, num_columns, num_columns)[:2]
    _low_gradient[(num_columns // columns, triton.cdiv(num_rows, _TOKENS_A_PROGRAM))](
        left_TM, values, scale, weight_C, out,
        num_rows, left_TM.shape[1], strides[0], strides[1], first, second,
        N=num_columns, R=num_low, P=rank_block(num_low), BT=64, BN=columns, TOKENS=_TOKENS_A_PROGRAM,
        HAS_SCALE=scale is not None, HAS_WEIGHT=weight_C is not None,
    )  # fmt: skip


@triton.jit
def _add_low(
    x_ptr, base_ptr, low_ptr, up_ptr,
    unscale,
    N: tl.constexpr, R: tl.constexpr, P: tl.constexpr, BT: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0).to(tl.int64) * BT
    rows = tl.arange(0, BT)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    ranks = tl.arange(0, P)
    at = first * N + rows[:, None] * N + columns[None, :]
    low = tl.load(low_ptr + first * R + rows[:, None] * R + ranks[None, :], mask=ranks[None, :] < R, other=0.0)
    up = tl.load(up_ptr + columns[None, :] * R + ranks[:, None], mask=ranks[:, None] < R, other=0.0)
    total = tl.load(x_ptr + at).to(tl.float32) + tl.load(base_ptr + at).to(tl.float32) * unscale
    total = tl.dot(low, up, total, input_precision="ieee")
    tl.store(base_ptr + at, total.to(base_ptr.dtype.element_ty))


@triton.jit
def _low_gradient(
    left_ptr, right_ptr, scale_ptr, weight_ptr, out_ptr,
    num_rows, left_columns, out_stride_r, out_stride_n, first_bound, second_bound,
    N: tl.constexpr, R: tl.constexpr, P: tl.constexpr, BT: tl.constexpr, BN: tl.constexpr, TOKENS: tl.constexpr,
    HAS_SCALE: tl.constexpr, HAS_WEIGHT: tl.constexpr,
):  # fmt: skip
    start = tl.program_id(0) * BN
    columns = start + tl.arange(0, BN)
    ranks = tl.arange(0, P)
    dtype = left_ptr.dtype.element_ty
    # The projection that these columns belong to says which columns of `left` are its own.
    left_ptr += ((start >= first_bound).to(tl.int32) + (start >= second_bound).to(tl.int32)) * R
    begin = tl.program_id(1) * TOKENS
    total = tl.zeros([P, BN], tl.float32)
    for token in range(begin, min(begin + TOKENS, num_rows), BT):
        rows = (token + tl.arange(0, BT)).to(tl.int64)
        left = tl.load(left_ptr + rows[None, :] * left_columns + ranks[:, None], mask=ranks[:, None] < R, other=0.0)
        if HAS_SCALE:
            left = (left.to(tl.float32) * tl.load(scale_ptr + rows)[None, :]).to(dtype)
        right = tl.load(right_ptr + rows[:, None] * N + columns[None, :]).to(dtype)
        total = tl.dot(left, right, total, input_precision="ieee")
    if HAS_WEIGHT:
        total *= tl.load(weight_ptr + columns).to(tl.float32)[None, :]
    at = ranks[:, None] * out_stride_r + columns[None, :] * out_stride_n
    tl.atomic_add(out_ptr + at, total, mask=ranks[:, None] < R)
