"""The adapter as one flat tensor, and its way from and to the names of PEFT.

Shapes: L layers, P trained values of a layer, K input and N output columns of a product, R rank, M ranks of all of a
product's projections together.

A row of the flat tensor holds, product after product, first the matrices A of its projections (M x K), then the
matrices B one below the other (N x R). One tensor makes casting, clipping, the optimizer's step and the sum over ranks
one kernel each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from contract.errors import UserError
from trainer.native.shape import Product, Shape


@dataclass(frozen=True)
class Lora:
    """What is learnt of one product: x A^T gives M columns, R for each projection's rows of B."""

    down_MK: Tensor
    up_NR: Tensor


@dataclass(frozen=True)
class Layout:
    """Where in the flat tensor each matrix lies."""

    shape: Shape
    rank: int

    @property
    def num_values(self) -> int:
        """P."""
        return sum(
            self.rank * (len(product.names) * product.num_in + product.num_out) for product in self.shape.products
        )

    def split(self, values_P: Tensor) -> list[Lora]:
        """A layer's four products' matrices, as views."""
        sizes = []
        for product in self.shape.products:
            sizes += [len(product.names) * self.rank * product.num_in, product.num_out * self.rank]
        parts = values_P.split(sizes)
        return [
            Lora(down.view(-1, product.num_in), up.view(-1, self.rank))
            for product, down, up in zip(self.shape.products, parts[::2], parts[1::2], strict=True)
        ]

    def named(self, values_LP: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each matrix by its name in a PEFT state, as a view."""
        for layer in range(self.shape.num_layers):
            for product, lora in zip(self.shape.products, self.split(values_LP[layer]), strict=True):
                downs = lora.down_MK.split(self.rank)
                ups = lora.up_NR.split(product.nums_out)
                for name, down_RK, up_NR in zip(product.names, downs, ups, strict=True):
                    prefix = f"base_model.model.model.layers.{layer}.{product.block}.{name}"
                    yield f"{prefix}.lora_A.weight", down_RK
                    yield f"{prefix}.lora_B.weight", up_NR


def write_state(values_LP: Tensor, state: Mapping[str, Tensor], layout: Layout) -> None:
    """Sets the flat tensor from a PEFT state; UserError where that is not an adapter on exactly all linear layers."""
    places = dict(layout.named(values_LP))
    problems = [f"lacks {name}" for name in places if name not in state]
    problems += [f"has {name}, which this engine does not train" for name in state if name not in places]
    problems += [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(place.shape)}"
        for name, place in places.items()
        if name in state and state[name].shape != place.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError("the native engine cannot train this adapter: it " + "; it ".join(problems[:3]) + more)
    with torch.no_grad():
        for name, place in places.items():
            place.copy_(state[name])


def read_state(values_LP: Tensor, layout: Layout) -> dict[str, Tensor]:
    """A PEFT state with copies of all matrices."""
    return {name: place.detach().clone() for name, place in layout.named(values_LP)}


def offload_adapter(model: PeftModel) -> None:
    """Moves the PEFT model's own copy of the adapter off the GPU, where nobody computes with it any more."""
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.cpu()


def lora_settings(config: Any) -> tuple[int, float]:  # a peft.LoraConfig
    """Rank and scaling of an adapter; UserError lists what makes it another function than x A^T B^T * scaling."""
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
        raise UserError(f"the native engine has no {', '.join(problems)}; leave it out or use another engine")
    return config.r, config.lora_alpha / config.r


def linear_modules(layer: nn.Module, product: Product) -> list[nn.Linear]:
    """The base's linear layers of a product, below what PEFT put around them."""
    block = getattr(layer, product.block)
    modules = [getattr(block, name) for name in product.names]
    return [getattr(module, "base_layer", module) for module in modules]
