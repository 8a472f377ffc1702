"""A layer whose products with frozen matrices are rounded to FP8, in one way or another.

Rounding is emulated: an operand becomes the nearest values of FP8 (e4m3) times their scale, and is multiplied in 16
bit. So a way costs no less time than another, and what no GPU can multiply can be tried.

Shapes: T tokens, K input columns and N output rows of a product, R ranks, C hidden columns.
"""

import math
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from bench.learn.base import Sizes, attention, rms_norm, rotate
from trainer.native.kernels.rounding import quantize_rows

_ROTATED: Final = 64  # columns that are rotated together
_BLOCK: Final = 128  # columns that share a scale


@dataclass(frozen=True, kw_only=True)
class Way:
    """Which operands of a product with a frozen matrix are rounded, and how."""

    name: str
    weights: bool = False  # of the forward product
    inputs: bool = False
    back: bool = False  # both operands of the backward product: the gradient and the weights
    block: bool = False  # a scale for 128 columns instead of a row
    is_rotated: bool = False  # columns are mixed by a Hadamard matrix first, so that no column stands out
    outliers: int = 0  # input columns that stay in 16 bit, those with the largest values
    is_low_rounded: bool = False  # the adapter gets the rounded inputs, too
    is_stochastic: bool = False  # gradients are rounded up or down by chance, right on average
    exact_from: float = 1  # share of the steps after which nothing is rounded any more


EXACT: Final = Way(name="bf16")


def layer(
    x_TC: Tensor, weights: tuple[Tensor, ...], norms_2C: Tensor, rotary: tuple[Tensor, Tensor], bounds: Tensor,
    sizes: Sizes, *, way: Way,
) -> Tensor:  # fmt: skip
    """As `base.layer`, with an adapter beside each product; weights are the matrices, then all A, then all B."""
    qkv_of, o_of, gate_up_of, down_of = (
        partial(product, weight_NK=weights[index], a_RK=weights[4 + index], b_NR=weights[8 + index], way=way)
        for index in range(4)
    )
    num_tokens, width = len(x_TC), sizes.heads * sizes.head_dim
    qkv = qkv_of(rms_norm(x_TC, norms_2C[0], sizes.eps)).view(num_tokens, -1, sizes.head_dim)
    query, key, value = qkv.split([sizes.heads, sizes.kv_heads, sizes.kv_heads], 1)
    query, key = rotate(query, rotary), rotate(key, rotary)
    x_TC = x_TC + o_of(attention(query, key, value.contiguous(), bounds, sizes).reshape(num_tokens, width))
    gate, up = gate_up_of(rms_norm(x_TC, norms_2C[1], sizes.eps)).chunk(2, -1)
    return x_TC + down_of(functional.silu(gate) * up)


def product(x_TK: Tensor, *, weight_NK: Tensor, a_RK: Tensor, b_NR: Tensor, way: Way) -> Tensor:
    """x W^T + x A^T B^T, summed in float32 and rounded once; W is frozen."""
    low_input = x_TK
    if way.is_low_rounded:
        low_input = x_TK + (_round(x_TK, way) - x_TK).detach()
    result: Tensor = _Product.apply(x_TK, low_input @ a_RK.T, weight_NK, b_NR, way)
    return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TK: Tensor, low_TR: Tensor, weight_NK: Tensor, b_NR: Tensor, way: Way) -> Tensor:
        ctx.save_for_backward(low_TR, weight_NK, b_NR)
        ctx.way = way
        x, weight = (_round(x_TK, way) if way.inputs else x_TK), (_round(weight_NK, way) if way.weights else weight_NK)
        if way.outliers and way.inputs:
            exact = x_TK.abs().amax(0).topk(min(way.outliers, x_TK.shape[1])).indices
            x, weight = x.index_copy(1, exact, x_TK[:, exact]), weight.index_copy(1, exact, weight_NK[:, exact])
        return torch.cat([x, low_TR], 1) @ torch.cat([weight, b_NR], 1).T

    @staticmethod
    def backward(ctx: Any, grad_TN: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        low_TR, weight_NK, b_NR = ctx.saved_tensors
        grad, weight = grad_TN, weight_NK
        if ctx.way.back:
            grad, weight = _round(grad_TN, ctx.way, by_chance=ctx.way.is_stochastic), _round(weight_NK.T, ctx.way).T
        return grad @ weight, grad_TN @ b_NR, None, grad_TN.T @ low_TR, None


def _round(x_TK: Tensor, way: Way, *, by_chance: bool = False) -> Tensor:
    """The values that FP8 would hold, in the type of x."""
    rows, columns = x_TK.shape
    if way.is_rotated:
        mixed = _mixed(x_TK)
        return _mixed(nearest(mixed, by_chance=by_chance)).to(x_TK.dtype)
    if way.block:
        padded = functional.pad(x_TK, (0, -columns % _BLOCK)).reshape(-1, _BLOCK)
        return nearest(padded, by_chance=by_chance).view(rows, -1)[:, :columns].to(x_TK.dtype)
    return nearest(x_TK, by_chance=by_chance).to(x_TK.dtype)


def nearest(x_TK: Tensor, *, by_chance: bool) -> Tensor:
    """The nearest values of FP8 with a scale a row; by chance one of the two neighbours, so that the mean is right."""
    if not by_chance:
        return quantize_rows(x_TK).dense(torch.float32)
    x_TK = x_TK.float()
    # e4m3 keeps 3 bits behind the leading one: noise as wide as the step between two neighbours, then the nearest.
    scale_T1 = x_TK.abs().amax(1, keepdim=True).clamp(min=1e-30) / 448
    values = x_TK / scale_T1
    width = torch.exp2(values.abs().clamp(min=2**-6).log2().floor() - 3)
    noisy = values + width * (torch.rand_like(values) - 0.5)
    return noisy.clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale_T1


def _mixed(x_TK: Tensor) -> Tensor:
    """Blocks of 64 columns times a Hadamard matrix with rows of length one, which is its own inverse."""
    matrix = hadamard(_ROTATED, x_TK.device)
    return (x_TK.float().reshape(len(x_TK), -1, _ROTATED) @ matrix).view_as(x_TK)


@cache
def hadamard(size: int, device: torch.device) -> Tensor:
    """Of a power of two."""
    matrix = torch.ones(1, 1, device=device)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix / math.sqrt(size)
