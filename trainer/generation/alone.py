"""A model of Llama's shape in plain PyTorch, each row by itself: for one answer at a time, on a CPU.

transformers and PEFT compute the same, but their imports take longer than an answer.
Shapes: S tokens of a row that are new, C hidden columns, H heads, G heads of keys and values, D columns of a head,
K input and N output columns of a linear layer, R rank, V words of the vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

_ATTENTION: Final = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


@dataclass(frozen=True)
class Shape:
    """Sizes of a model without biases, with the plain rotary embedding and SwiGLU."""

    num_layers: int
    head_dim: int
    eps: float
    rope_theta: float


@dataclass(frozen=True)
class Lora:
    """An adapter: R x K and N x R of a linear layer, by its name."""

    down_RK: Mapping[str, Tensor]
    up_NR: Mapping[str, Tensor]
    scaling: float


class Alone:
    """The rows of a batch, one after the other. `weights` have the names of transformers, without `model.` in front."""

    def __init__(self, shape: Shape, weights: Mapping[str, Tensor], adapters: Mapping[str, Lora]) -> None:
        self._shape, self._weights, self._adapters = shape, weights, adapters
        self._rows: list[list[tuple[Tensor, Tensor]]] = []  # keys and values of each layer, 1 x G x tokens x D
        pairs = torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim
        self._frequencies = 1.0 / shape.rope_theta**pairs

    def start(self, prompts: Sequence[Sequence[int]], adapters: Sequence[str | None]) -> Tensor:
        """Adds rows; the logits (N x V) that follow each prompt."""
        first = len(self._rows)
        self._rows += [[] for _ in prompts]
        numbers = range(first, len(self._rows))
        return torch.cat([self._logits(*each) for each in zip(numbers, prompts, adapters, strict=True)])

    def go_on(self, tokens: Sequence[int], lengths: Sequence[int], adapters: Sequence[str | None]) -> Tensor:  # noqa: ARG002
        """The logits (N x V) after one more token of each row."""
        rows = zip(range(len(self._rows)), tokens, adapters, strict=True)
        return torch.cat([self._logits(number, [token], adapter) for number, token, adapter in rows])

    def keep(self, moves: Sequence[tuple[int, int]], *, num_rows: int, width: int) -> None:  # noqa: ARG002
        """Copies rows (from, to) over others; then only the first `num_rows` remain."""
        for origin, target in moves:
            self._rows[target] = self._rows[origin]
        del self._rows[num_rows:]

    def _logits(self, number: int, ids: Sequence[int], adapter: str | None) -> Tensor:
        """The logits (1 x V) after these tokens behind those that the row has."""
        row, weights = self._rows[number], self._weights
        length = row[0][0].shape[2] if row else 0
        angles = torch.arange(length, length + len(ids), dtype=torch.float32)[:, None] * self._frequencies
        turns = torch.cat([angles, angles], 1).cos(), torch.cat([angles, angles], 1).sin()
        lora = self._adapters[adapter] if adapter else None
        x_SC = functional.embedding(torch.tensor(ids), weights["embed_tokens.weight"])
        for layer in range(self._shape.num_layers):
            x_SC = self._layer(layer, x_SC, row, turns, lora)
        last_1C = self._norm(x_SC[-1:], "norm")
        return functional.linear(last_1C, weights.get("lm_head.weight", weights["embed_tokens.weight"]))

    def _layer(
        self,
        number: int,
        x_SC: Tensor,
        row: list[tuple[Tensor, Tensor]],
        turns: tuple[Tensor, Tensor],
        lora: Lora | None,
    ) -> Tensor:
        """The layer's output; keys and values of the new tokens are added to the row's."""
        at = f"layers.{number}."
        h_SC = self._norm(x_SC, f"{at}input_layernorm")
        heads = (self._linear(h_SC, f"{at}{name}", lora) for name in _ATTENTION)
        q, k, v = (each.unflatten(1, (-1, self._shape.head_dim)).transpose(0, 1)[None] for each in heads)
        q, k = _rotated(q, *turns), _rotated(k, *turns)
        is_first = number == len(row)
        if is_first:
            row.append((k, v))
        else:
            row[number] = (torch.cat([row[number][0], k], 2), torch.cat([row[number][1], v], 2))
        mixed = functional.scaled_dot_product_attention(q, *row[number], is_causal=is_first, enable_gqa=True)
        x_SC = x_SC + self._linear(mixed[0].transpose(0, 1).flatten(1), f"{at}self_attn.o_proj", lora)
        h_SC = self._norm(x_SC, f"{at}post_attention_layernorm")
        gate, up = (self._linear(h_SC, f"{at}mlp.{name}", lora) for name in ("gate_proj", "up_proj"))
        return x_SC + self._linear(functional.silu(gate) * up, f"{at}mlp.down_proj", lora)

    def _norm(self, x_SC: Tensor, name: str) -> Tensor:
        return functional.rms_norm(x_SC, x_SC.shape[-1:], self._weights[f"{name}.weight"], self._shape.eps)

    def _linear(self, x_SK: Tensor, name: str, lora: Lora | None) -> Tensor:
        y_SN = functional.linear(x_SK, self._weights[f"{name}.weight"])
        if lora is None or name not in lora.up_NR:
            return y_SN
        low_SR = functional.linear(x_SK, lora.down_RK[name])
        return y_SN + functional.linear(low_SR, lora.up_NR[name]) * lora.scaling


def _rotated(x: Tensor, cos_SD: Tensor, sin_SD: Tensor) -> Tensor:
    """Rotary embedding: each pair of columns (d, d + D/2) of a head is rotated by its token's angle."""
    first, second = x.chunk(2, -1)
    return x * cos_SD + torch.cat([-second, first], -1) * sin_SD
