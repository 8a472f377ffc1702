"""Rounding: matrices in FP8, and the factor that keeps sums in 16 bit right on average.

Shapes: T rows, K columns.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

FP8: Final = torch.float8_e4m3fn
FP8_LARGEST: Final = 448.0
# The factor of a product that is rounded to 16 bit before it enters a sum in 16 bit; the sum divides by it. Without it
# the product would lie on the sum's own grid, and base + residual would often fall half-way between two 16-bit values.
# There even a tiny LoRA output (B is near 0 early in training) would decide the rounding, and count many times over.
OFF_GRID: Final = 0.7548776662466927  # any number that is no fraction of small numbers will do (1 / the plastic ratio)
_SMALLEST: Final = 1e-30  # keeps the scale of a row of zeros from being zero


@dataclass(frozen=True)
class Fp8Matrix:
    """A matrix in FP8: `values_TK * scale_T1`, where each row's largest value is the largest of FP8."""

    values_TK: Tensor
    scale_T1: Tensor

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The same matrix in another type."""
        return (self.values_TK.float() * self.scale_T1).to(dtype)


def empty_fp8(x_TK: Tensor) -> Fp8Matrix:
    """An uninitialised matrix in FP8 of the same shape."""
    return Fp8Matrix(torch.empty_like(x_TK, dtype=FP8), torch.empty(x_TK.shape[0], 1, device=x_TK.device))


def parts(x_TK: Tensor | Fp8Matrix | None) -> tuple[Tensor | None, Tensor | None]:
    """The values, and the scales where they are in FP8: for a kernel's arguments."""
    return (x_TK.values_TK, x_TK.scale_T1) if isinstance(x_TK, Fp8Matrix) else (x_TK, None)


def quantize_rows(x_TK: Tensor) -> Fp8Matrix:
    """The nearest FP8 matrix with one scale a row."""
    x_TK = x_TK.float()
    scale_T1 = x_TK.abs().amax(1, keepdim=True).clamp(min=_SMALLEST) / FP8_LARGEST
    return Fp8Matrix((x_TK / scale_T1).to(FP8).contiguous(), scale_T1)


def has_fp8(device: torch.device) -> bool:
    """Whether this GPU multiplies FP8 matrices with a scale a row."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)
