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
class Vectors:
    """All that a decoder layer holds besides its matrices."""

    norms_2C: Tensor  # before attention, before the MLP
    qkv_bias_N: Tensor | None
    head_norms_2D: Tensor | None  # of queries, of keys


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
    shape = layout.shape
    linears = [projection.linear_layers(module) for projection in shape.projections]
    vectors = read_vectors(module, shape)
    input_norm_C, mlp_norm_C = vectors.norms_2C
    return Layer(
        shape=shape,
        layout=layout,
        scaling=scaling,
        weights=tuple(
            freeze(modules, precision, dtype=input_norm_C.dtype, factor_K=factor_K)
            for modules, factor_K in zip(linears, (input_norm_C, None, mlp_norm_C, None), strict=True)
        ),
        input_norm_C=input_norm_C,
        mlp_norm_C=mlp_norm_C,
        qkv_bias_N=vectors.qkv_bias_N,
        head_norms_2D=vectors.head_norms_2D,
    )


def read_vectors(module: nn.Module, shape: Shape) -> Vectors:
    """All that a transformers decoder layer holds besides its matrices."""
    family = shape.family
    norms = [_weight(module, name) for name in (family.input_norm, family.mlp_norm)]
    biases = [linear.bias for linear in shape.projections[0].linear_layers(module)]
    head_norms = [_weight(getattr(module, family.attention), name) for name in family.head_norms or ()]
    return Vectors(
        norms_2C=torch.stack(norms),
        qkv_bias_N=torch.cat([bias.detach().to(norms[0].dtype) for bias in biases]) if biases[0] is not None else None,
        head_norms_2D=torch.stack(head_norms) if head_norms else None,
    )


def _weight(module: nn.Module, name: str) -> Tensor:
    weight: Tensor = getattr(module, name).weight
    return weight.detach()
