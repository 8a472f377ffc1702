"""The frozen part of a decoder layer and the tables of a batch: what both ways to compute a layer read.

Shapes: T tokens, C hidden columns, N output columns of the projection of queries, keys and values, D dimensions of a
head, E = D / 2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.native.adapter import AdapterLayout, Lora
from trainer.native.batch import Batch
from trainer.native.frozen import FrozenWeight, Precision, freeze
from trainer.native.shape import Rope, Shape


@dataclass(frozen=True)
class Layer:
    """The frozen part of a decoder layer. The norms' weights are folded into the projections after them."""

    shape: Shape
    layout: AdapterLayout
    scaling: float
    weights: tuple[FrozenWeight, ...]  # of the four projections
    input_norm_C: Tensor  # for the LoRA part of the projection after this norm
    mlp_norm_C: Tensor
    qkv_bias_N: Tensor | None
    head_norms_2D: Tensor | None  # of queries and of keys


@dataclass(frozen=True)
class Tables:
    """A batch with the rotary tables of its positions, which all layers share."""

    batch: Batch
    cos_TE: Tensor  # float32
    sin_TE: Tensor


def folded(lora: Lora, norm_C: Tensor) -> Lora:
    """The LoRA part of a projection after a norm, with the norm's weight folded in as in the projection itself."""
    return Lora(lora.down_MK * norm_C, lora.up_NR)


def make_tables(batch: Batch, rope: Rope) -> Tables:
    """The rotary tables of a batch that is on the device."""
    return Tables(batch, *rope.tables(batch.positions_T))


def make_layer(module: nn.Module, layout: AdapterLayout, *, scaling: float, precision: Precision) -> Layer:
    """A transformers decoder layer's frozen part."""
    shape, family = layout.shape, layout.shape.family
    input_norm_C, mlp_norm_C = _weight(module, family.input_norm), _weight(module, family.mlp_norm)
    dtype = input_norm_C.dtype
    linears = [projection.linear_layers(module) for projection in shape.projections]
    biases = [linear.bias for linear in linears[0]]
    attention = getattr(module, family.attention)
    head_norms = [_weight(attention, name) for name in family.head_norms or ()]
    return Layer(
        shape=shape,
        layout=layout,
        scaling=scaling,
        weights=tuple(
            freeze(modules, precision, dtype=dtype, factor_K=factor_K)
            for modules, factor_K in zip(linears, (input_norm_C, None, mlp_norm_C, None), strict=True)
        ),
        input_norm_C=input_norm_C,
        mlp_norm_C=mlp_norm_C,
        qkv_bias_N=torch.cat([bias.detach().to(dtype) for bias in biases]) if biases[0] is not None else None,
        head_norms_2D=torch.stack(head_norms) if head_norms else None,
    )


def _weight(module: nn.Module, name: str) -> Tensor:
    weight: Tensor = getattr(module, name).weight
    return weight.detach()
