"""A LoRA on all linear layers, merged into copies of the base's matrices at every step.

A step of an adapter of any rank R is then a step of the plain base with other matrices: merged = W + scale B A. The
gradient of the merged matrices gives those of A and B by two small products. That costs 6 instead of 4 operations a
weight and token, but a third of the kernels, and nothing depends on the rank. It pays where the base is small.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.learn.base import PRODUCTS, Base


@dataclass(frozen=True)
class Adapter:
    """All matrices A (R x K) and all B (N x R) as two flat float32 tensors, with views of them by projection."""

    rank: int
    scale: Tensor  # of no dimension, as a captured step reads it
    flat_a: Tensor
    flat_b: Tensor
    spans: tuple[tuple[str, str, int, int, int], ...]  # product, projection, first row, rows, columns

    @property
    def num_parameters(self) -> int:
        """Trained values."""
        return self.flat_a.numel() + self.flat_b.numel()

    def views(self, flat_a: Tensor, flat_b: Tensor) -> Iterator[tuple[str, str, slice, Tensor, Tensor]]:
        """Product, projection, its rows in the product, A as L x R x K and B as L x N x R."""
        num_layers = self.flat_a.numel() // sum(self.rank * columns for *_, columns in self.spans)
        at_a = at_b = 0
        for product, name, first, rows, columns in self.spans:
            end_a, end_b = at_a + num_layers * self.rank * columns, at_b + num_layers * rows * self.rank
            a = flat_a[at_a:end_a].view(num_layers, self.rank, columns)
            b = flat_b[at_b:end_b].view(num_layers, rows, self.rank)
            yield product, name, slice(first, first + rows), a, b
            at_a, at_b = end_a, end_b


def make_adapter(base: Base, *, rank: int) -> Adapter:
    """An adapter of zeros, for `reset` to begin with."""
    layers, config = base.config.num_hidden_layers, base.config
    kv_rows = config.num_key_value_heads * config.head_dim
    rows = {"k_proj": kv_rows, "v_proj": kv_rows, "gate_proj": config.intermediate_size}
    rows |= {"up_proj": config.intermediate_size}
    spans = []
    for product, (_, names) in PRODUCTS.items():
        first = 0
        for name in names:
            num_rows = rows.get(name, config.hidden_size)
            spans.append((product, name, first, num_rows, base.stacks[product].shape[2]))
            first += num_rows
    device = base.norm_C.device
    flat_a = torch.zeros(layers * rank * sum(span[4] for span in spans), device=device)
    flat_b = torch.zeros(layers * rank * sum(span[3] for span in spans), device=device)
    return Adapter(rank, torch.zeros((), device=device), flat_a, flat_b, tuple(spans))


def reset(adapter: Adapter, *, scale: float, seed: int) -> None:
    """Draws A uniformly from -1/sqrt(K) to 1/sqrt(K), as PEFT does, and sets B to zero."""
    adapter.scale.fill_(scale)
    generator = torch.Generator(device=adapter.flat_a.device).manual_seed(seed)
    for *_, a, _ in adapter.views(adapter.flat_a, adapter.flat_b):
        a.copy_(torch.empty_like(a).uniform_(-1, 1, generator=generator) / math.sqrt(a.shape[2]))
    adapter.flat_b.zero_()


def merge(adapter: Adapter, base: Base, merged: dict[str, Tensor]) -> None:
    """Writes W + scale B A into `merged`; rounded once, from float32."""
    for product, _, rows, a, b in adapter.views(*_low(adapter, base)):
        torch.baddbmm(base.stacks[product][:, rows], b, a, out=merged[product][:, rows])


def gradients(adapter: Adapter, base: Base, grads: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Those of the two flat tensors, from those of the merged matrices."""
    grad_a, grad_b = torch.empty_like(adapter.flat_a), torch.empty_like(adapter.flat_b)
    targets = adapter.views(grad_a, grad_b)
    for (product, _, rows, a, b), (*_, to_a, to_b) in zip(adapter.views(*_low(adapter, base)), targets, strict=True):
        grad_LNK = grads[product][:, rows]
        to_a.copy_(b.mT @ grad_LNK)
        to_b.copy_(grad_LNK @ a.mT)
    grad_b *= adapter.scale
    return grad_a, grad_b


def peft_state(adapter: Adapter) -> dict[str, Tensor]:
    """The adapter under PEFT's names."""
    blocks = {name: block for block, names in PRODUCTS.values() for name in names}
    state = {}
    for _, name, _, a, b in adapter.views(adapter.flat_a, adapter.flat_b):
        for index in range(len(a)):
            prefix = f"base_model.model.model.layers.{index}.{blocks[name]}.{name}"
            state[f"{prefix}.lora_A.weight"] = a[index].clone()
            state[f"{prefix}.lora_B.weight"] = b[index].clone()
    return state


def _low(adapter: Adapter, base: Base) -> tuple[Tensor, Tensor]:
    """A and scale x B in the base's type."""
    dtype = base.norm_C.dtype
    return adapter.flat_a.to(dtype), (adapter.flat_b * adapter.scale).to(dtype)
