"""From packs to batches: the tensors of one forward and backward pass, built on the CPU while the GPU computes.

Shapes: T tokens, padding included; A answer tokens, padding included; B blocks of queries or keys.
"""

import itertools
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from contract.errors import UserError
from trainer.examples.encoder import Example, Pack
from trainer.examples.tensors import IGNORED
from trainer.examples.tokens import IDS, Ids
from trainer.native.kernels.sizes import ATTENTION_BLOCK, ROWS

_TOKENS_MULTIPLE: Final = 2 * ROWS  # T is a multiple of it
_SIZES: Final = 16  # different T that batches of one stream can have: few, so that the allocator reuses its blocks


@dataclass(frozen=True)
class Batch:
    """Documents one after the other, then padding: documents of at most one block, without answer tokens."""

    ids_T: Tensor
    positions_T: Tensor  # within the document
    blocks_B3: Tensor  # first token of the block, first and end token of its document; blocks with most keys first
    starts: Tensor  # the documents' first tokens and T, padding included, int32
    longest: int
    lengths: tuple[int, ...]  # of the documents, padding included
    answer_indices_A: Tensor  # of tokens whose next token is an answer token; 0 in the padding
    targets_A: Tensor  # that answer token; IGNORED in the padding
    num_tokens: int  # without padding
    num_answer_tokens: int

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device. Does not wait for the copy if the memory is pinned."""
        return self._with_tensors(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "Batch":
        """The batch in pinned memory; the same batch where there is no GPU."""
        return self._with_tensors(Tensor.pin_memory) if torch.cuda.is_available() else self

    def _with_tensors(
        self, change: Callable[[Tensor], Any]
    ) -> "Batch":  # Any: mypy cannot know which fields are replaced
        return replace(self, **{name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)})


def make_batches(
    packs: Sequence[Pack], *, max_tokens: int, window: int | None = None, sizes: int = _SIZES
) -> Iterator[Batch]:
    """All examples of the packs, in order, in as few batches of at most `max_tokens` as this order allows.

    A pack may be spread over two batches, since documents do not see each other.
    `window`: the model's attention window; UserError for a longer example. `sizes`: how many different T there may be.
    """
    held: list[Example] = []
    num_tokens = 0
    for example in (example for pack in packs for example in pack.examples):
        length = len(example.ids)
        if length > min(max_tokens, window or max_tokens):
            raise UserError(
                f"record {example.row} has {length} tokens, expected at most {max_tokens} in a batch and"
                f" {window or 'any number'} in the model's attention window: lower --max-length"
            )
        if num_tokens + length > max_tokens:
            yield make_batch(held, max_tokens=max_tokens, sizes=sizes)
            held, num_tokens = [], 0
        held.append(example)
        num_tokens += length
    if held:
        yield make_batch(held, max_tokens=max_tokens, sizes=sizes)


def make_batch(examples: Sequence[Example], *, max_tokens: int, sizes: int = _SIZES) -> Batch:
    """One batch of these examples. Examples without answer tokens are kept, and add nothing to the loss."""
    ids = array(IDS)
    for example in examples:
        ids.extend(example.ids)
    size = padded_size(len(ids), max_tokens=max_tokens, sizes=sizes)
    lengths = [len(example.ids) for example in examples if example.ids]
    lengths += [min(ATTENTION_BLOCK, size - first) for first in range(len(ids), size, ATTENTION_BLOCK)]
    indices, targets = _answers(examples)
    num_answers = padded_size(len(indices), max_tokens=max_tokens)
    starts = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    return Batch(
        ids_T=_padded(ids, size, filling=0),
        positions_T=torch.cat([torch.arange(length, dtype=torch.int32) for length in lengths]),
        blocks_B3=_blocks(starts.tolist()),
        starts=starts,
        longest=max(lengths),
        lengths=tuple(lengths),
        answer_indices_A=_padded(indices, num_answers, filling=0),
        targets_A=_padded(targets, num_answers, filling=IGNORED),
        num_tokens=len(ids),
        num_answer_tokens=len(indices),
    )


def padded_size(num: int, *, max_tokens: int, sizes: int = _SIZES) -> int:
    """The smallest of a few sizes that holds `num`."""
    step = -(-max_tokens // (sizes * _TOKENS_MULTIPLE)) * _TOKENS_MULTIPLE
    return max(1, -(-num // step)) * step


def _answers(examples: Sequence[Example]) -> tuple[Ids, Ids]:
    """The index of the token before each answer token, and the answer token. A document's first token is never one."""
    indices, targets = array(IDS), array(IDS)
    first = 0
    for example in examples:
        begin = max(1, example.num_prompt)
        indices.extend(range(first + begin - 1, first + len(example.ids) - 1))
        targets.extend(example.ids[begin:])
        first += len(example.ids)
    return indices, targets


def _blocks(starts: list[int]) -> Tensor:
    documents = itertools.pairwise(starts)
    rows = [(first, start, end) for start, end in documents for first in range(start, end, ATTENTION_BLOCK)]
    # The backward pass over keys runs this list in reverse; ties are sorted so that it, too, starts with the longest
    # documents.
    rows.sort(key=lambda row: (row[1] - row[0], row[2] - row[1]))
    return torch.tensor(rows, dtype=torch.int32).reshape(-1, 3)


def _padded(values: Ids, size: int, *, filling: int) -> Tensor:
    padded_S = torch.full((size,), filling, dtype=torch.int64)
    if values:  # torch reads no empty buffer
        padded_S[: len(values)] = torch.frombuffer(values, dtype=torch.int32)
    return padded_S
