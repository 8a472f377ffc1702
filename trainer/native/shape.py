"""Sizes and names of a base, read from its transformers model. Refuses bases that this engine cannot compute.

Shapes: T tokens, E half the dimensions of a head.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from contract.errors import UserError
from trainer.native.families import FAMILIES, Family

_ROPE_TYPES: Final = ("default", "linear", "llama3", "yarn")  # those whose frequencies do not depend on the input


@dataclass(frozen=True)
class Projection:
    """Linear layers that share their input, computed as one matrix product."""

    block: str  # the part of the decoder layer that holds them
    names: tuple[str, ...]
    num_in: int
    nums_out: tuple[int, ...]

    @property
    def num_out(self) -> int:
        """Output columns of all linear layers together."""
        return sum(self.nums_out)

    def linear_layers(self, layer: nn.Module) -> list[nn.Linear]:
        """Its linear layers in a decoder layer, without what PEFT put around them."""
        block = getattr(layer, self.block)
        modules = [getattr(block, name) for name in self.names]
        return [getattr(module, "base_layer", module) for module in modules]


@dataclass(frozen=True)
class Shape:
    """Sizes and names of a decoder of the Llama shape."""

    family: Family
    num_layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    window: int | None  # a token sees at most this many tokens back, itself included

    @property
    def projections(self) -> tuple[Projection, Projection, Projection, Projection]:
        """The projections of a layer, in the order of use."""
        family, num_q, num_kv = self.family, self.heads * self.head_dim, self.kv_heads * self.head_dim
        return (
            Projection(family.attention, family.qkv, self.hidden, (num_q, num_kv, num_kv)),
            Projection(family.attention, (family.out,), num_q, (self.hidden,)),
            Projection(family.mlp, family.gate_up, self.hidden, (self.mlp, self.mlp)),
            Projection(family.mlp, (family.down,), self.mlp, (self.hidden,)),
        )


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding: `scale` multiplies cosine and sine (YaRN), 1 elsewhere."""

    frequencies_E: Tensor  # float32
    scale: float

    def tables(self, positions_T: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine of each token's angles, T x E each, in float32."""
        angles_TE = positions_T.float()[:, None] * self.frequencies_E
        return angles_TE.cos() * self.scale, angles_TE.sin() * self.scale


def read_shape(model: PreTrainedModel) -> Shape:
    """The sizes of a transformers causal language model; UserError lists all that this engine cannot compute."""
    config = model.config
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise _unusable([f"model type {config.model_type!r}, not one of {tuple(FAMILIES)}"])
    shape = Shape(
        family=family,
        num_layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        mlp=config.intermediate_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        eps=config.rms_norm_eps,
        window=_window(model, family),
    )
    if problems := _problems(model, shape):
        raise _unusable(problems)
    return shape


def read_rope(model: PreTrainedModel, *, device: torch.device) -> Rope:
    """The model's own frequencies, scaling included."""
    rotary = model.model.rotary_emb
    return Rope(rotary.inv_freq.to(device, torch.float32), float(rotary.attention_scaling))


def _window(model: PreTrainedModel, family: Family) -> int | None:
    """The smallest attention window of all layers."""
    holders: list[Any] = [model.config]  # a configuration, or attention modules, of a type for each family
    if family.window == "layer":
        holders = [getattr(layer, family.attention) for layer in model.model.layers]
    windows = [getattr(holder, "sliding_window", None) for holder in holders]
    return min((window for window in windows if window), default=None)


def _problems(model: PreTrainedModel, shape: Shape) -> list[str]:
    config = model.config
    problems = [
        f"{name} = {getattr(config, name)!r}, expected {value!r}"
        for name, value in shape.family.required.items()
        if getattr(config, name, value) != value
    ]
    rope_type = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope_type not in _ROPE_TYPES:
        problems.append(f"rotary embedding of type {rope_type!r}, not one of {_ROPE_TYPES}")
    biased = {
        name
        for layer in model.model.layers
        for projection in shape.projections[1:]
        for name, linear in zip(projection.names, projection.linear_layers(layer), strict=True)
        if linear.bias is not None
    }
    return problems + [f"a bias in {name}" for name in sorted(biased)]


def _unusable(problems: list[str]) -> UserError:
    return UserError(f"the native engine cannot train this base: {'; '.join(problems)}; use another engine")
