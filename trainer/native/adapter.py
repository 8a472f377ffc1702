"""The adapter as one flat tensor, and its conversion from and to a PEFT state.

Shapes: L layers, P trained values of a layer, K input and N output columns of a projection, R rank, M ranks of all
linear layers of a projection together.

A row of the flat tensor is one layer. For each projection in turn it holds the matrices A of its linear layers (M x K),
then their matrices B (N x R), each one below the other. With one tensor, casting, clipping, the optimizer's step and
the sum over ranks are one kernel each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from contract.errors import UserError
from trainer.native.shape import Shape


@dataclass(frozen=True)
class Lora:
    """The adapter of one projection: x A^T gives M columns, R for each linear layer's rows of B."""

    down_MK: Tensor
    up_NR: Tensor


@dataclass(frozen=True)
class AdapterLayout:
    """At which offset of the flat tensor each matrix lies."""

    shape: Shape
    rank: int

    @property
    def num_values(self) -> int:
        """P."""
        return sum(self._sizes())

    def split(self, values_P: Tensor) -> list[Lora]:
        """The matrices of a layer's four projections, as views."""
        return [Lora(down_1MK[0], up_1NR[0]) for down_1MK, up_1NR in self.split_layers(values_P[None])]

    def split_layers(self, values_LP: Tensor) -> list[tuple[Tensor, Tensor]]:
        """A (L x M x K) and B (L x N x R) of the four projections of all layers, as views."""
        parts = values_LP.split(self._sizes(), 1)
        return [
            (down.unflatten(1, (-1, projection.num_in)), up.unflatten(1, (-1, self.rank)))
            for projection, down, up in zip(self.shape.projections, parts[::2], parts[1::2], strict=True)
        ]

    def matrices(self, values_LP: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """A (L x R x K) and B (L x N x R) of each linear layer, as views over all layers of the model."""
        downs, ups = [], []
        for projection, (down, up) in zip(self.shape.projections, self.split_layers(values_LP), strict=True):
            downs += down.split(self.rank, 1)
            ups += up.split(projection.nums_out, 1)
        return downs, ups

    def named(self, values_LP: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each matrix by its name in a PEFT state, as a view."""
        for layer in range(self.shape.num_layers):
            for projection, lora in zip(self.shape.projections, self.split(values_LP[layer]), strict=True):
                downs = lora.down_MK.split(self.rank)
                ups = lora.up_NR.split(projection.nums_out)
                for name, down_RK, up_NR in zip(projection.names, downs, ups, strict=True):
                    prefix = f"base_model.model.model.layers.{layer}.{projection.block}.{name}"
                    yield f"{prefix}.lora_A.weight", down_RK
                    yield f"{prefix}.lora_B.weight", up_NR

    def _sizes(self) -> list[int]:
        """Values of A and of B, projection after projection."""
        sizes = [(len(each.names) * each.num_in, each.num_out) for each in self.shape.projections]
        return [self.rank * size for pair in sizes for size in pair]


def write_state(values_LP: Tensor, state: Mapping[str, Tensor], *, layout: AdapterLayout) -> None:
    """Sets the flat tensor from a PEFT state; UserError unless that is an adapter on exactly all linear layers."""
    matrices = dict(layout.named(values_LP))
    problems = [f"lacks {name}" for name in matrices if name not in state]
    problems += [f"has {name}, which this engine does not train" for name in state if name not in matrices]
    problems += [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(matrix.shape)}"
        for name, matrix in matrices.items()
        if name in state and state[name].shape != matrix.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError("the native engine cannot train this adapter: it " + "; it ".join(problems[:3]) + more)
    with torch.no_grad():
        for name, matrix in matrices.items():
            matrix.copy_(state[name])


def read_state(values_LP: Tensor, layout: AdapterLayout) -> dict[str, Tensor]:
    """A PEFT state with copies of all matrices."""
    return {name: matrix.detach().clone() for name, matrix in layout.named(values_LP)}


def offload_adapter(model: PeftModel) -> None:
    """Moves the PEFT model's own copy of the adapter to the CPU: the engine computes with the flat tensor."""
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.cpu()


def lora_settings(config: Any) -> tuple[int, float]:  # a peft.LoraConfig
    """Rank and scaling of an adapter; UserError lists the settings that make it more than x A^T B^T * scaling."""
    problems = [
        f"{name} = {getattr(config, name)!r}"
        for name, plain in (
            ("lora_dropout", 0.0),
            ("bias", "none"),
            ("use_rslora", False),
            ("use_dora", False),
            ("rank_pattern", {}),
            ("alpha_pattern", {}),
            ("modules_to_save", None),
        )
        if getattr(config, name, plain) not in (plain, None)
    ]
    if problems:
        raise UserError(f"the native engine has no {', '.join(problems)}: remove these settings, or use another engine")
    return config.r, config.lora_alpha / config.r
