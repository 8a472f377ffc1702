"""Parts of kernels: columns of heads whose number is no power of two, and rows in FP8."""

import triton
import triton.language as tl


@triton.jit
def load_columns(pointers, columns, D: tl.constexpr, DP: tl.constexpr):
    """The values at `pointers`, rows x DP, with 0 from column D on. `columns`: 0 to DP - 1."""
    return tl.load(pointers) if D == DP else tl.load(pointers, mask=(columns < D)[None, :], other=0.0)


@triton.jit
def store_columns(pointers, values, columns, D: tl.constexpr, DP: tl.constexpr):
    """Writes the first D of DP columns. Shapes as in `load_columns`."""
    if D == DP:
        tl.store(pointers, values)
    else:
        tl.store(pointers, values, mask=(columns < D)[None, :])


@triton.jit
def mask_of(is_there, columns, D: tl.constexpr, DP: tl.constexpr):
    """The mask of these rows and the first D of DP columns, rows x DP, or rows x 1 where these are all."""
    mask = is_there[:, None]
    if D < DP:
        mask = mask & (columns < D)[None, :]
    return mask


@triton.jit
def write_fp8(from_ptr, to_ptr, scale_ptr, largest, rows, N: tl.constexpr, BN: tl.constexpr):
    """Writes BT rows in FP8, and their scales. This program itself may have written `from`.

    Shapes: from, to BT x N; scale, largest (the largest absolute value of each row), rows BT.
    """
    largest = tl.maximum(largest, 1e-30)
    tl.store(scale_ptr + rows, largest / 448.0)
    tl.debug_barrier()  # what this program's other threads wrote is read back below
    for start in range(0, N, BN):
        at = rows[:, None] * N + (start + tl.arange(0, BN))[None, :]
        value = tl.load(from_ptr + at).to(tl.float32) * (448.0 / largest)[:, None]
        tl.store(to_ptr + at, value.to(to_ptr.dtype.element_ty))
