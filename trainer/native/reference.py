"""A decoder layer in plain PyTorch: the kernels are tested against it, and it runs where they cannot.

Shapes: T tokens, C hidden columns, H heads, G heads of keys and values, D columns of a head, E = D / 2, K input and N
output columns of a projection, R rank, M ranks of all linear layers of a projection together.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn

from trainer.native.adapter import Lora
from trainer.native.batch import Batch
from trainer.native.frozen import FrozenWeight
from trainer.native.layer import Layer, Tables, folded


def reference_layer(x_TC: Tensor, values_P: Tensor, layer: Layer, tables: Tables) -> Tensor:
    """The layer's output; differentiable in x and in the layer's row of the adapter."""
    shape = layer.shape
    qkv, out, gate_up, down = (
        Lora(lora.down_MK.to(x_TC.dtype), lora.up_NR.to(x_TC.dtype)) for lora in layer.layout.split(values_P)
    )

    h_TC = rms_norm(x_TC, None, shape.eps)
    q_T, k_T, v_T = _project(h_TC, layer, 0, folded(qkv, layer.input_norm_C))
    if layer.qkv_bias_N is not None:
        sizes = [shape.heads * shape.head_dim, *[shape.kv_heads * shape.head_dim] * 2]
        q_T, k_T, v_T = (part + bias for part, bias in zip((q_T, k_T, v_T), layer.qkv_bias_N.split(sizes), strict=True))
    q_THD, k_TGD, v_TGD = (part.unflatten(1, (-1, shape.head_dim)) for part in (q_T, k_T, v_T))
    if layer.head_norms_2D is not None:
        q_THD, k_TGD = (
            rms_norm(part, norm, shape.eps) for part, norm in zip((q_THD, k_TGD), layer.head_norms_2D, strict=True)
        )
    q_THD, k_TGD = (rotate(part, tables.cos_TE, tables.sin_TE) for part in (q_THD, k_TGD))
    mixed_THD = attention(q_THD, k_TGD, v_TGD, tables.batch)
    (out_TC,) = _project(mixed_THD.flatten(1), layer, 1, out)
    x_TC = x_TC + out_TC

    h_TC = rms_norm(x_TC, None, shape.eps)
    gate_T, up_T = _project(h_TC, layer, 2, folded(gate_up, layer.mlp_norm_C))
    (down_TC,) = _project(functional.silu(gate_T) * up_T, layer, 3, down)
    return x_TC + down_TC


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """x over the root of its mean square along the last dimension, which is taken in float32; times the weight."""
    x_32 = x.float()
    normed = (x_32 * torch.rsqrt(x_32.square().mean(-1, keepdim=True) + eps)).to(x.dtype)
    return normed if weight is None else normed * weight


def rotate(x_THD: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Rotary embedding: each pair of columns (d, d + D/2) of a head is rotated by its token's angle."""
    first, second = x_THD.float().chunk(2, -1)
    cos, sin = cos_TE[:, None], sin_TE[:, None]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x_THD.dtype)


def attention(q_THD: Tensor, k_TGD: Tensor, v_TGD: Tensor, batch: Batch) -> Tensor:
    """Causal attention within each document. By FlashAttention where it runs, else document after document."""
    if has_flash(q_THD):
        # torch 2.11: heads of keys and values are shared without repeating them, where their number divides.
        longest = batch.longest
        mixed = varlen_attn(q_THD, k_TGD, v_TGD, batch.starts, batch.starts, longest, longest, window_size=(-1, 0))
        assert isinstance(mixed, Tensor)
        return mixed
    documents = zip(*(heads.split(batch.lengths) for heads in (q_THD, k_TGD, v_TGD)), strict=True)
    return torch.cat([_document_attention(*document) for document in documents])


def has_flash(x: Tensor) -> bool:
    """Whether FlashAttention runs on tensors of this type on this device."""
    is_gpu = x.device.type == "cuda" and torch.cuda.get_device_capability(x.device) >= (8, 0)
    return is_gpu and x.dtype != torch.float32


def _document_attention(q_SHD: Tensor, k_SGD: Tensor, v_SGD: Tensor) -> Tensor:
    """Causal attention of one document of S tokens."""
    # Repeated by hand: with `enable_gqa`, torch 2.11 uses no memory-efficient kernel and keeps S x S scores.
    shared = q_SHD.shape[1] // k_SGD.shape[1]
    k_SHD, v_SHD = (heads.repeat_interleave(shared, 1) for heads in (k_SGD, v_SGD))
    q_HSD, k_HSD, v_HSD = (heads.transpose(0, 1)[None] for heads in (q_SHD, k_SHD, v_SHD))
    mixed_HSD = functional.scaled_dot_product_attention(q_HSD, k_HSD, v_HSD, is_causal=True)
    return mixed_HSD[0].transpose(0, 1)


def _project(x_TK: Tensor, layer: Layer, index: int, lora: Lora) -> Sequence[Tensor]:
    """One projection with its LoRA part, split into the outputs of its linear layers."""
    nums_out = layer.shape.projections[index].nums_out
    low_TM = x_TK @ lora.down_MK.T * layer.scaling
    lows = low_TM.split(layer.layout.rank, 1)
    ups = lora.up_NR.split(nums_out)
    addend_TN = torch.cat([low @ up.T for low, up in zip(lows, ups, strict=True)], 1)
    return _FrozenProduct.apply(x_TK, addend_TN, layer.weights[index]).split(nums_out, 1)


class _FrozenProduct(torch.autograd.Function):  # its ctx takes any attribute
    """x W^T + addend, rounded once; saves neither x nor W in the compute type.

    If x W^T were rounded before the sum, it would lie on the grid of 16-bit values, and an addend of less than half a
    step would not change it: the output of a freshly initialised adapter would be lost for most values.
    """

    @staticmethod
    def forward(ctx: Any, x_TK: Tensor, addend_TN: Tensor, weight: FrozenWeight) -> Tensor:
        """T x N."""
        ctx.weight = weight
        return weight.product_32(x_TK).add_(addend_TN).to(x_TK.dtype)

    @staticmethod
    def backward(ctx: Any, grad_TN: Tensor) -> tuple[Tensor, Tensor, None]:
        """T x K and T x N."""
        return ctx.weight.product_back(grad_TN.contiguous()), grad_TN, None
