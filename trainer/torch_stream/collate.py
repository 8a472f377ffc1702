"""Packs to the rows of a batch, as models in transformers take them. T: tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Packs one after the other in one row without padding, 1 x T, as models take it; and `positions`, for `trained`.

    Only `position_ids` keep documents apart: pass no attention mask and no cache.
    """
    batch: dict[str, Any] = {
        name: torch.cat([item[name] for item in items])[None] for name in ("input_ids", "labels", "position_ids")
    }
    return batch | {"positions": [item["position"] for item in items]}


def collate_for_flash(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As `collate`, with the starts of documents as FlashAttention in transformers takes them, which saves a sync."""
    lengths = [length for item in items for length in item["seq_lengths"]]
    starts = {f"cu_seq_lens_{side}": starts_of(lengths) for side in "qk"}
    return collate(items) | starts | {f"max_length_{side}": max(lengths) for side in "qk"}


def starts_of(lengths: Sequence[int]) -> Tensor:
    """The offsets of documents of these lengths, and the end of the last one, int32."""
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
