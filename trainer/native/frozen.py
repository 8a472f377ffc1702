"""The frozen base's matrices in three precisions: NF4 as stored, 16 bit (32 on a CPU), FP8 with a scale a row.

Shapes: T tokens, K input columns, N output columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from bitsandbytes import functional as bnb
from bitsandbytes.nn import Linear4bit
from torch import Tensor, nn

from contract.errors import UserError
from trainer.native.kernels.rounding import OFF_GRID, Fp8Matrix, has_fp8, quantize_rows

Precision = Literal["nf4", "bf16", "fp8"]


class FrozenWeight(Protocol):
    """A frozen matrix W of N rows and K columns."""

    def product(self, x_TK: Tensor | Fp8Matrix, *, factor: float = 1.0) -> Tensor:
        """x W^T * factor, T x N."""

    def product_32(self, x_TK: Tensor) -> Tensor:
        """x W^T in float32, for a sum that is rounded once."""

    def product_back(self, grad_TN: Tensor | Fp8Matrix) -> Tensor:
        """The gradient of x, T x K: grad W."""


@dataclass(frozen=True)
class DenseWeight:
    """Kept in the compute type."""

    weight_NK: Tensor

    def product(self, x_TK: Tensor | Fp8Matrix, *, factor: float = 1.0) -> Tensor:
        assert isinstance(x_TK, Tensor)
        if factor == 1:
            return x_TK @ self.weight_NK.T
        # cuBLAS applies the factor before it rounds.
        return torch.addmm(x_TK.new_empty(1), x_TK, self.weight_NK.T, beta=0, alpha=factor)

    def product_32(self, x_TK: Tensor) -> Tensor:
        if x_TK.device.type == "cuda" and x_TK.dtype != torch.float32:
            return torch.mm(x_TK, self.weight_NK.T, out_dtype=torch.float32)
        return x_TK.float() @ self.weight_NK.float().T

    def product_back(self, grad_TN: Tensor | Fp8Matrix) -> Tensor:
        assert isinstance(grad_TN, Tensor)
        return grad_TN @ self.weight_NK


@dataclass(frozen=True)
class Nf4Weight:
    """Kept in NF4, half a byte a value, and dequantised for each product."""

    modules: tuple[Linear4bit, ...]
    dtype: torch.dtype
    factor_K: Tensor | None = None  # multiplies the columns of W

    def product(self, x_TK: Tensor | Fp8Matrix, *, factor: float = 1.0) -> Tensor:
        return DenseWeight(self.dense()).product(x_TK, factor=factor)

    def product_32(self, x_TK: Tensor) -> Tensor:
        return DenseWeight(self.dense()).product_32(x_TK)

    def product_back(self, grad_TN: Tensor | Fp8Matrix) -> Tensor:
        return DenseWeight(self.dense()).product_back(grad_TN)

    def dense(self) -> Tensor:
        """W, N x K, in the compute type."""
        states = [module.weight.quant_state for module in self.modules]
        first = self.modules[0].weight
        if first.device.type == "cuda" and states[0].dtype == self.dtype:
            rows = [state.shape[0] for state in states]
            weight_NK = torch.empty(sum(rows), states[0].shape[1], dtype=self.dtype, device=first.device)
            for module, part in zip(self.modules, weight_NK.split(rows), strict=True):
                bnb.dequantize_4bit(module.weight.data, module.weight.quant_state, out=part)
        else:
            weight_NK = torch.cat([dense_weight(module, dtype=self.dtype) for module in self.modules])
        return weight_NK if self.factor_K is None else weight_NK.mul_(self.factor_K)


@dataclass(frozen=True)
class Fp8Weight:
    """Kept in FP8 twice, since each product needs a layout and scales of its own: one a row of W, one a column."""

    weight_NK: Fp8Matrix
    weight_KN: Fp8Matrix
    dtype: torch.dtype

    def product(self, x_TK: Tensor | Fp8Matrix, *, factor: float = 1.0) -> Tensor:
        """x W^T * factor; x is quantised here if it is not yet."""
        return _scaled_product(x_TK, self.weight_NK, dtype=self.dtype, factor=factor)

    def product_32(self, x_TK: Tensor) -> Tensor:
        """x W^T in float32, rounded to 16 bit off the grid: cuBLAS has no float32 output for a scale a row."""
        return self.product(x_TK, factor=OFF_GRID).float() / OFF_GRID

    def product_back(self, grad_TN: Tensor | Fp8Matrix) -> Tensor:
        return _scaled_product(grad_TN, self.weight_KN, dtype=self.dtype)


def freeze(
    modules: Sequence[nn.Module], precision: Precision, *, dtype: torch.dtype, factor_K: Tensor | None = None
) -> FrozenWeight:
    """The matrices of these linear layers, one below the other; UserError where the base cannot be in this precision.

    `factor_K` multiplies their columns: the weight of the norm before them.
    """
    if precision == "nf4":
        if not all(isinstance(module, Linear4bit) for module in modules):
            raise UserError("base precision nf4 needs a base that is loaded in 4 bit, this one is not: use bf16 or fp8")
        return Nf4Weight(tuple(modules), dtype, factor_K)
    weight_NK = torch.cat([dense_weight(module, dtype=dtype) for module in modules])
    if factor_K is not None:
        weight_NK = (weight_NK.float() * factor_K.float()).to(dtype)
    if precision == "bf16":
        return DenseWeight(weight_NK)
    return Fp8Weight(quantize_rows(weight_NK), quantize_rows(weight_NK.T), dtype)


def dense_weight(module: nn.Module, *, dtype: torch.dtype) -> Tensor:
    """A linear layer's matrix in this type, dequantised where it is stored in NF4."""
    if isinstance(module, Linear4bit):
        return bnb.dequantize_4bit(module.weight.data, module.weight.quant_state).to(dtype)
    assert isinstance(module.weight, Tensor)
    return module.weight.detach().to(dtype)


def _scaled_product(
    x_TK: Tensor | Fp8Matrix, weight_NK: Fp8Matrix, *, dtype: torch.dtype, factor: float = 1.0
) -> Tensor:
    """x W^T * factor. Where there is no FP8 unit, the same values in float32: slow, for tests."""
    x_TK = x_TK if isinstance(x_TK, Fp8Matrix) else quantize_rows(x_TK)
    if not has_fp8(x_TK.values_TK.device):
        return (x_TK.dense(torch.float32) @ weight_NK.dense(torch.float32).T * factor).to(dtype)
    return torch._scaled_mm(
        x_TK.values_TK,
        weight_NK.values_TK.T,
        scale_a=x_TK.scale_T1,
        scale_b=weight_NK.scale_T1.T if factor == 1 else weight_NK.scale_T1.T * factor,
        out_dtype=dtype,
        use_fast_accum=True,
    )
