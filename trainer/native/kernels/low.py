"""The LoRA part of a sum, and the gradients of the matrices A and B."""

import triton
import triton.language as tl
from torch import Tensor

from trainer.native.kernels.fitted import fitted
from trainer.native.kernels.records import LowRank, Normed
from trainer.native.kernels.rounding import OFF_GRID, Fp8Matrix, parts
from trainer.native.kernels.sizes import Tile, block, rank_block, tiles
from trainer.native.kernels.thin import add_products, kernel_inputs

_TOKENS_A_PROGRAM = 1024  # summed by one program: fewer would mean more atomic sums, more would leave processors idle


def add_low(x_TN: Tensor, base_TN: Tensor, *, low: LowRank, has_thin: bool) -> Tensor:
    """x + base / OFF_GRID + low B^T, rounded once. Overwrites `base_TN`."""
    num_rows, num_columns = x_TN.shape
    low_in, up, rank, ranks = kernel_inputs(low, nums_out=(num_columns,), has_thin=has_thin)
    _add_low.launch(
        x_TN, base_TN, low_in, up,
        1 / OFF_GRID,
        N=num_columns, R=rank, P=ranks,
        grid=lambda tile: (num_rows // tile.rows, num_columns // block(num_columns, most=tile.columns)),
        sizes=lambda tile: {"BT": tile.rows, "BN": block(num_columns, most=tile.columns)},
    )  # fmt: skip
    return base_TN


def down_gradient(low_TM: Tensor, x_TN: Tensor | Fp8Matrix, *, grad_MN: Tensor, has_thin: bool) -> None:
    """Adds the gradient of A, low^T x, to `grad_MN` (float32)."""
    _gradient(low_TM, parts(x_TN), out_RN=grad_MN, has_thin=has_thin)


def down_gradient_of_normed(
    low_TM: Tensor, normed: Normed, *, weight_C: Tensor, grad_MC: Tensor, has_thin: bool
) -> None:
    """Adds the gradient of A to `grad_MC`, where the projection's input, x * rstd * weight, was not kept."""
    _gradient(low_TM, (normed.x_TC, normed.rstd_T), out_RN=grad_MC, weight_N=weight_C, has_thin=has_thin)


def up_gradient(
    low_TM: Tensor, grad_TN: Tensor | Fp8Matrix, *, up_grad_NR: Tensor, nums_out: tuple[int, ...], has_thin: bool
) -> None:
    """Adds the gradient of B to `up_grad_NR` (float32): each linear layer's rows are grad^T low of its own columns."""
    bounds = tuple(sum(nums_out[:index]) for index in range(1, len(nums_out)))
    _gradient(low_TM, parts(grad_TN), out_RN=up_grad_NR.T, bounds=bounds, has_thin=has_thin)


def _gradient(
    left_TM: Tensor,
    right_TN: tuple[Tensor | None, Tensor | None],  # values, and a factor for each row or None
    *,
    out_RN: Tensor,
    has_thin: bool,
    bounds: tuple[int, ...] = (),  # first columns of all linear layers but the first
    weight_N: Tensor | None = None,
) -> None:
    """Adds left^T right to `out_RN`. With bounds, each linear layer's columns use R columns of `left_TM`."""
    values, scale = right_TN
    assert values is not None
    (num_rows, num_columns), num_low = values.shape, out_RN.shape[0]
    if not has_thin:
        if scale is not None:  # where it is a norm's, `left` is the smaller factor to multiply
            left_TM = (left_TM * scale.view(-1, 1)).to(left_TM.dtype)
        add_products(left_TM, values.to(left_TM.dtype), out_RN=out_RN, bounds=bounds, weight_N=weight_N)
        return

    def columns(tile: Tile) -> int:
        return min(block(bound, most=tile.columns) for bound in (*bounds, num_columns))

    first, second = (*bounds, num_columns, num_columns)[:2]
    _low_gradient.launch(
        left_TM, values, scale, weight_N, out_RN,
        num_rows, left_TM.shape[1], out_RN.stride(0), out_RN.stride(1), first, second,
        N=num_columns, R=num_low, P=rank_block(num_low), TOKENS=_TOKENS_A_PROGRAM,
        HAS_SCALE=scale is not None, HAS_WEIGHT=weight_N is not None,
        grid=lambda tile: (num_columns // columns(tile), triton.cdiv(num_rows, _TOKENS_A_PROGRAM)),
        sizes=lambda tile: {"BT": tile.rows, "BN": columns(tile)},
    )  # fmt: skip


@fitted(tiles())
@triton.jit
def _add_low(
    x_ptr, base_ptr, low_ptr, up_ptr,
    unscale,
    N: tl.constexpr, R: tl.constexpr, P: tl.constexpr, BT: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Shapes: x, base T x N; low T x R; up (B) N x R. If P is 0, low is T x N and there is no up."""
    first = tl.program_id(0).to(tl.int64) * BT
    rows = tl.arange(0, BT)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    at = first * N + rows[:, None] * N + columns[None, :]
    if P > 0:
        ranks = tl.arange(0, P)
        low = tl.load(low_ptr + first * R + rows[:, None] * R + ranks[None, :], mask=ranks[None, :] < R, other=0.0)
        up = tl.load(up_ptr + columns[None, :] * R + ranks[:, None], mask=ranks[:, None] < R, other=0.0)
    total = tl.load(x_ptr + at).to(tl.float32) + tl.load(base_ptr + at).to(tl.float32) * unscale
    if P > 0:
        total = tl.dot(low, up, total, input_precision="ieee")
    else:
        total += tl.load(low_ptr + at).to(tl.float32)
    tl.store(base_ptr + at, total.to(base_ptr.dtype.element_ty))


@fitted(tiles())
@triton.jit
def _low_gradient(
    left_ptr, right_ptr, scale_ptr, weight_ptr, out_ptr,
    num_rows, left_columns, out_stride_r, out_stride_n, first_bound, second_bound,
    N: tl.constexpr, R: tl.constexpr, P: tl.constexpr, BT: tl.constexpr, BN: tl.constexpr, TOKENS: tl.constexpr,
    HAS_SCALE: tl.constexpr, HAS_WEIGHT: tl.constexpr,
):  # fmt: skip
    """One block of columns, summed over TOKENS rows, is added to `out`.

    Shapes: left T x M, M = `left_columns`; right T x N; scale T; weight N; out R x N by its strides, float32.
    """
    start = tl.program_id(0) * BN
    columns = start + tl.arange(0, BN)
    ranks = tl.arange(0, P)
    dtype = left_ptr.dtype.element_ty
    # The columns belong to one linear layer of the projection: it has R columns of `left` of its own.
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
