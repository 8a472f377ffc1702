"""What the native engine has to know of a model: its sizes, and what in it would need code that is not here."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from contract.errors import UserError

MODEL_TYPES: Final = ("llama", "mistral", "qwen2", "qwen3")
_ROPE_TYPES: Final = ("default", "linear", "llama3", "yarn")  # those whose frequencies do not depend on the input


@dataclass(frozen=True)
class Product:
    """Projections of a layer that share their input, done as one matrix product."""

    block: str  # the layer's part that holds them
    names: tuple[str, ...]
    num_in: int
    nums_out: tuple[int, ...]

    @property
    def num_out(self) -> int:
        """Output columns of all projections together."""
        return sum(self.nums_out)


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder of the Llama family."""

    num_layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    window: int | None  # a token sees at most this many tokens back, itself included

    @property
    def products(self) -> tuple[Product, Product, Product, Product]:
        """The matrix products of a layer, in the order of use."""
        num_q, num_kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return (
            Product("self_attn", ("q_proj", "k_proj", "v_proj"), self.hidden, (num_q, num_kv, num_kv)),
            Product("self_attn", ("o_proj",), num_q, (self.hidden,)),
            Product("mlp", ("gate_proj", "up_proj"), self.hidden, (self.mlp, self.mlp)),
            Product("mlp", ("down_proj",), self.mlp, (self.hidden,)),
        )


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding: `scale` multiplies cosine and sine (YaRN), 1 elsewhere."""

    frequencies: Tensor  # half a head's dimensions, float32
    scale: float

    def tables(self, positions_T: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine of each token's angles, each of T rows and half a head's columns, in float32."""
        angles = positions_T.float()[:, None] * self.frequencies
        return angles.cos() * self.scale, angles.sin() * self.scale


def read_shape(model: PreTrainedModel) -> Shape:
    """The sizes of a transformers causal language model; UserError lists all that this engine cannot do."""
    config = model.config
    layers = model.model.layers if config.model_type in MODEL_TYPES else []
    rope_type = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    problems = [
        problem
        for is_problem, problem in (
            (config.model_type not in MODEL_TYPES, f"model type {config.model_type!r}, not one of {MODEL_TYPES}"),
            (getattr(config, "hidden_act", "silu") != "silu", f"activation {getattr(config, 'hidden_act', None)!r}"),
            (rope_type not in _ROPE_TYPES, f"rotary embedding of type {rope_type!r}, not one of {_ROPE_TYPES}"),
            (any(layer.self_attn.o_proj.bias is not None for layer in layers), "a bias after attention"),
            (any(layer.mlp.gate_proj.bias is not None for layer in layers), "a bias in the MLP"),
        )
        if is_problem
    ]
    if problems:
        raise UserError(f"the native engine cannot train this base: {'; '.join(problems)}; use another engine")
    windows = [getattr(layer.self_attn, "sliding_window", None) for layer in layers]
    if config.model_type == "mistral":
        windows = [config.sliding_window]
    return Shape(
        num_layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        mlp=config.intermediate_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        eps=config.rms_norm_eps,
        window=min((window for window in windows if window), default=None),
    )


def read_rope(model: PreTrainedModel, *, device: torch.device) -> Rope:
    """The model's own frequencies, scaling included."""
    rotary = model.model.rotary_emb
    return Rope(rotary.inv_freq.to(device, torch.float32), float(rotary.attention_scaling))
