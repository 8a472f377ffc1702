"""From records and an engine to how many tokens of each answer come back. One forward pass a record.

Shapes: N records, A answer tokens.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from accelerate.utils import gather_object
from numpy.typing import NDArray

from trainer.engines.engine import Engine
from trainer.engines.scores import joined
from trainer.examples.encoder import Example, Pack, Record
from trainer.native import Scores
from trainer.plan.order import Rank
from trainer.stream.prefetch import prefetch

ONE_RANK: Final = Rank(0, 1)
_CHUNK_RECORDS: Final = 1_024  # encoded and measured together
# Of a pack, for an engine that takes packs as they are. On a CPU, attention over longer ones costs more than it saves.
_PACK_TOKENS: Final = 512

Encode: TypeAlias = Callable[[Sequence[Record]], list[Example]]  # records with a wording to examples, in order


@dataclass(frozen=True)
class Recalled:
    """What comes back of N records, in their order."""

    titles: tuple[str, ...]
    num_tokens_N: NDArray[np.int64]  # answer tokens, with the end token; of a cut record only those before the cut
    num_right_N: NDArray[np.int64]  # leading tokens of the answer that greedy decoding returns
    loss_N: NDArray[np.float64]  # summed over the answer tokens
    is_cut_N: NDArray[np.bool_]  # longer than the window: the end of its answer was never trained

    def __len__(self) -> int:
        return len(self.titles)

    def has_first(self, num: int) -> NDArray[np.bool_]:
        """Of each record whether the first `num` tokens of its answer come back, or all where it is shorter."""
        return self.num_right_N >= np.minimum(num, self.num_tokens_N)

    def is_whole(self) -> NDArray[np.bool_]:
        """Of each record whether the whole answer comes back, with its end token; of a cut record up to the cut."""
        return self.num_right_N >= self.num_tokens_N

    def take(self, indices: NDArray[np.integer]) -> "Recalled":
        """These records, in this order."""
        return Recalled(
            tuple(self.titles[index] for index in indices),
            self.num_tokens_N[indices],
            self.num_right_N[indices],
            self.loss_N[indices],
            self.is_cut_N[indices],
        )

    def first(self, num: int) -> "Recalled":
        """The first records, at most so many."""
        return self.take(np.arange(min(num, len(self))))

    def mean_loss(self) -> float:
        """The mean cross entropy of all answer tokens, cut records included; 0 without answer tokens."""
        return float(self.loss_N.sum() / max(1, self.num_tokens_N.sum()))


@dataclass(frozen=True)
class Asked:
    """Records as batches of an engine: they can be measured again without being encoded again."""

    titles: tuple[str, ...]
    examples: tuple[Example, ...]
    batches: list[Any]  # of the engine's own type


def asked(engine: Engine, examples: Sequence[Example], *, titles: Sequence[str]) -> Asked:
    """Examples, and their records' titles, as batches of this engine."""
    packs = joined([Pack((example,)) for example in examples], max_tokens=_PACK_TOKENS)
    return Asked(tuple(titles), tuple(examples), engine.batches(packs))


def ask(engine: Engine, records: Sequence[Record], encode: Encode) -> Asked:
    """The records as batches of this engine."""
    return asked(engine, encode(records), titles=[record.title for record in records])


def recall_of(engine: Engine, batched: Asked) -> Recalled:
    """What comes back of these records with the engine's adapter as it is. Waits for the GPU once."""
    return _by_record(batched, [engine.scores(batch) for batch in batched.batches])


def measure(
    engine: Engine,
    records: Iterable[Record],
    encode: Encode,
    *,
    rank: Rank = ONE_RANK,
    on_done: Callable[[int], None] = lambda _: None,
) -> Recalled:
    """What comes back of these records, in order. Ranks share them and gather the results: collective.

    The records are read and encoded in a thread, while the GPU works. `on_done` gets the number of records that this
    rank has measured.
    """
    mine = islice(records, rank.index, None, rank.world)
    parts: list[Recalled] = []
    with closing(prefetch(_asked(engine, mine, encode), ahead=2)) as made:
        for batched in made:
            parts.append(recall_of(engine, batched))
            on_done(sum(map(len, parts)))
    return gathered(concatenated(parts), world=rank.world)


def gathered(mine: Recalled, *, world: int) -> Recalled:
    """The results of all ranks as one, the same on each of them. Collective."""
    return mine if world == 1 else interleaved(gather_object([mine]))


def interleaved(parts: Sequence[Recalled]) -> Recalled:
    """The parts in the order of all records, of which part r of W holds records r, r + W, r + 2 W, …"""
    order = np.argsort(np.concatenate([np.arange(len(part)) * len(parts) + rank for rank, part in enumerate(parts)]))
    return concatenated(parts).take(order)


def _asked(engine: Engine, records: Iterator[Record], encode: Encode) -> Iterator[Asked]:
    while chunk := list(islice(records, _CHUNK_RECORDS)):
        yield ask(engine, chunk, encode)


def _by_record(batched: Asked, scores: Sequence[Scores]) -> Recalled:
    """The scores of all answer tokens, which are in the order of the examples, as one result a record."""
    num_tokens_N = np.array([max(0, len(each.ids) - max(1, each.num_prompt)) for each in batched.examples], np.int64)
    ends_N = num_tokens_N.cumsum()
    starts_N = ends_N - num_tokens_N
    is_right_A, loss_A = np.zeros(0, np.bool_), np.zeros(0, np.float64)
    if scores:
        is_right_A = torch.cat([each.is_right_A for each in scores]).cpu().numpy()  # waits for the GPU
        loss_A = torch.cat([each.loss_A for each in scores]).double().cpu().numpy()
    assert len(is_right_A) == num_tokens_N.sum(), "an engine has to score every answer token once"
    wrong = np.append(np.flatnonzero(~is_right_A), len(is_right_A))  # the last one stands behind all tokens
    first_wrong_N = wrong[np.searchsorted(wrong, starts_N)]
    sums = np.append(0.0, loss_A.cumsum())
    return Recalled(
        titles=batched.titles,
        num_tokens_N=num_tokens_N,
        num_right_N=np.minimum(first_wrong_N - starts_N, num_tokens_N),
        loss_N=sums[ends_N] - sums[starts_N],
        is_cut_N=np.array([each.num_cut > 0 for each in batched.examples], np.bool_),
    )


def concatenated(parts: Sequence[Recalled]) -> Recalled:
    """The records of all parts, one part after the other."""
    return Recalled(
        tuple(title for part in parts for title in part.titles),
        np.concatenate([np.zeros(0, np.int64), *(part.num_tokens_N for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.num_right_N for part in parts)]),
        np.concatenate([np.zeros(0, np.float64), *(part.loss_N for part in parts)]),
        np.concatenate([np.zeros(0, np.bool_), *(part.is_cut_N for part in parts)]),
    )
