"""What a decoder layer is made of, for either way to compute it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.native.adapter import Layout, Lora, linear_modules
from trainer.native.batch import Batch
from trainer.native.frozen import Frozen, Precision, freeze
from trainer.native.shape import Rope, Shape


@dataclass(frozen=True)
class Layer:
    """The frozen part of a decoder layer. The norms' weights are folded into the products after them."""

    shape: Shape
    layout: Layout
    scaling: float
    weights: tuple[Frozen, ...]  # of the four products
    input_norm_C: Tensor  # for the LoRA part of these products
    mlp_norm_C: Tensor
    qkv_bias: Tensor | None
    head_norms: Tensor | None  # of queries and of keys, 2 x D


@dataclass(frozen=True)
class Tables:
    """A batch with what all layers take from its positions."""

    batch: Batch
    cos: Tensor  # T rows, half a head's columns, float32
    sin: Tensor


def folded(lora: Lora, norm_C: Tensor) -> Lora:
    """The LoRA part of a product after a norm, with the norm's weight folded in as in the product itself."""
    return Lora(lora.down_MK * norm_C, lora.up_NR)


def make_tables(batch: Batch, rope: Rope) -> Tables:
    """The rotary tables of a batch that is on the device."""
    return Tables(batch, *rope.tables(batch.positions_T))


def make_layer(
    module: Any,  # of a type for each family of models
    layout: Layout,
    *,
    scaling: float,
    precision: Precision,
) -> Layer:
    """A transformers decoder layer's frozen part."""
    shape, attention = layout.shape, module.self_attn
    input_norm_C, mlp_norm_C = module.input_layernorm.weight.detach(), module.post_attention_layernorm.weight.detach()
    dtype = input_norm_C.dtype
    products = [linear_modules(module, product) for product in shape.products]
    biases = [projection.bias for projection in products[0]]
    has_head_norms = hasattr(attention, "q_norm")
    return Layer(
        shape=shape,
        layout=layout,
        scaling=scaling,
        weights=tuple(
            freeze(modules, precision, dtype=dtype, factor_K=factor_K)
            for modules, factor_K in zip(products, (input_norm_C, None, mlp_norm_C, None), strict=True)
        ),
        input_norm_C=input_norm_C,
        mlp_norm_C=mlp_norm_C,
        qkv_bias=torch.cat([bias.detach().to(dtype) for bias in biases]) if biases[0] is not None else None,
        head_norms=torch.stack([attention.q_norm.weight, attention.k_norm.weight]).detach() if has_head_norms else None,
    )
