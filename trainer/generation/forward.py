"""What a batch needs of a model, whatever computes it."""

from collections.abc import Sequence
from typing import Final, Protocol

from torch import Tensor

_MEMORY_SHARE: Final = 0.25  # of the free memory, for keys and values


class Forward(Protocol):
    """What a model remembers of the rows of a batch, and how it goes on."""

    def start(self, prompts: Sequence[Sequence[int]], adapters: Sequence[str | None]) -> Tensor:
        """Adds rows; the logits (N x V) that follow each prompt."""

    def go_on(self, tokens: Sequence[int], lengths: Sequence[int], adapters: Sequence[str | None]) -> Tensor:
        """The logits (N x V) after one more token of each row, before which it has so many."""

    def keep(self, moves: Sequence[tuple[int, int]], *, num_rows: int, width: int) -> None:
        """Copies rows (from, to) over others; then only the first `num_rows` remain, the longest of `width` tokens."""


def tokens_that_fit(token_bytes: int, *, free_bytes: int) -> int:
    """Tokens whose keys and values, of so many bytes each, take a quarter of the free memory."""
    return max(1, int(_MEMORY_SHARE * free_bytes / token_bytes))
