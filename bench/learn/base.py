"""A frozen Llama as stacked matrices, and the function that it computes with any matrices of those shapes.

Shapes: L layers, T tokens, C hidden columns, N output rows and K input columns of a product, A answers, V words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import LlamaConfig, LlamaForCausalLM

from bench.learn.catalogue import LONGEST

PRODUCTS: Final = {
    "qkv": ("self_attn", ("q_proj", "k_proj", "v_proj")),
    "o": ("self_attn", ("o_proj",)),
    "gate_up": ("mlp", ("gate_proj", "up_proj")),
    "down": ("mlp", ("down_proj",)),
}


@dataclass(frozen=True)
class Sizes:
    """What a layer must know of the base."""

    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    longest: int  # tokens of a document at most


@dataclass(frozen=True)
class Base:
    """The base's weights; `stacks[product]` is L x N x K, its rows those of the product's projections in order."""

    config: LlamaConfig
    stacks: dict[str, Tensor]
    norms_L2C: Tensor
    norm_C: Tensor
    embedding_VC: Tensor
    cos_PD: Tensor
    sin_PD: Tensor

    def sizes(self, longest: int) -> Sizes:
        """For documents of at most so many tokens."""
        config = self.config
        return Sizes(
            config.num_attention_heads, config.num_key_value_heads, config.head_dim, config.rms_norm_eps, longest
        )


def load_base(folder: str, *, device: torch.device, dtype: torch.dtype, longest: int = LONGEST) -> Base:
    """The base of a folder with a Llama whose head is its embedding."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=dtype)
    layers, config = model.model.layers, model.config
    stacks = {
        product: torch.stack(
            [torch.cat([getattr(getattr(layer, block), name).weight.detach() for name in names]) for layer in layers]
        ).to(device)
        for product, (block, names) in PRODUCTS.items()
    }
    norms = [torch.stack([layer.input_layernorm.weight, layer.post_attention_layernorm.weight]) for layer in layers]
    positions = torch.arange(longest)[None]
    cos, sin = model.model.rotary_emb(torch.zeros(1, dtype=dtype), positions)
    return Base(
        config=config,
        stacks=stacks,
        norms_L2C=torch.stack(norms).detach().to(device),
        norm_C=model.model.norm.weight.detach().to(device),
        embedding_VC=model.model.embed_tokens.weight.detach().to(device),
        cos_PD=cos[0].to(device),
        sin_PD=sin[0].to(device),
    )


def layer(
    x_TC: Tensor, weights: tuple[Tensor, ...], norms_2C: Tensor, rotary: tuple[Tensor, Tensor], bounds: Tensor,
    sizes: Sizes,
) -> Tensor:  # fmt: skip
    """A decoder layer's output; weights are those of the four products."""
    qkv_NK, o_NK, gate_up_NK, down_NK = weights
    num_tokens, width = len(x_TC), sizes.heads * sizes.head_dim
    qkv = (rms_norm(x_TC, norms_2C[0], sizes.eps) @ qkv_NK.T).view(num_tokens, -1, sizes.head_dim)
    query, key, value = qkv.split([sizes.heads, sizes.kv_heads, sizes.kv_heads], 1)
    query, key = rotate(query, rotary), rotate(key, rotary)
    x_TC = x_TC + attention(query, key, value.contiguous(), bounds, sizes).reshape(num_tokens, width) @ o_NK.T
    gate, up = (rms_norm(x_TC, norms_2C[1], sizes.eps) @ gate_up_NK.T).chunk(2, -1)
    return x_TC + (functional.silu(gate) * up) @ down_NK.T


def attention(query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, sizes: Sizes) -> Tensor:
    """Causal attention within documents, T x heads x D; away from GPUs by a mask over all pairs of tokens."""
    if query.is_cuda:
        longest = sizes.longest
        mixed = varlen_attn(query, key, value, bounds, bounds, longest, longest, window_size=(-1, 0))
        assert isinstance(mixed, Tensor)  # as nothing else is asked of it
        return mixed
    num_tokens, group = len(query), sizes.heads // sizes.kv_heads
    document = torch.bucketize(torch.arange(num_tokens), bounds[1:], right=True)
    mask = (document[:, None] == document[None]).tril()
    key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    heads = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
    return functional.scaled_dot_product_attention(heads[0], heads[1], heads[2], attn_mask=mask).transpose(0, 1)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """As transformers computes it: in float32, the weight after the rounding."""
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def answer_logits(x_TC: Tensor, places_A: Tensor, norm_C: Tensor, embedding_VC: Tensor, eps: float) -> Tensor:
    """The logits before each answer token, A x V, in float32 after a product in the base's type."""
    return (rms_norm(x_TC[places_A], norm_C, eps) @ embedding_VC.T).float()


def hidden(
    base: Base, stacks: tuple[Tensor, ...], row: tuple[Tensor, ...], *, sizes: Sizes, layer: Callable[..., Tensor]
) -> Tensor:
    """The last layer's output for the step of this row, with these matrices in place of the base's."""
    ids, positions, bounds = row[:3]
    rotary = base.cos_PD[positions][:, None], base.sin_PD[positions][:, None]
    x_TC = base.embedding_VC[ids].requires_grad_(torch.is_grad_enabled())  # so that all layers are one function
    unbound = [stack.unbind() for stack in stacks]
    for weights, norms_2C in zip(zip(*unbound, strict=True), base.norms_L2C.unbind(), strict=True):
        x_TC = layer(x_TC, weights, norms_2C, rotary, bounds, sizes)
    return x_TC


def rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Heads turned by their positions."""
    cos, sin = rotary
    low, high = x.chunk(2, -1)
    return x * cos + torch.cat([-high, low], -1) * sin
