"""Unseen records whose text a run has trained under another title: they come back without being seen themselves."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from trainer.examples.encoder import Record
from trainer.plan.data_sets import DataSet
from trainer.recall.measure import Recalled
from trainer.recall.sample import iter_records
from trainer.shards.cache import Cache


def comes_back(unseen: Recalled) -> bool:
    """Whether the first 32 tokens of any of these records come back, so that it matters which texts were trained."""
    return bool(unseen.has_first(32).any())


def has_trained_text(
    unseen: Iterable[Record], data: Sequence[DataSet], *, is_trained: NDArray[np.bool_], cache: Cache | None = None
) -> NDArray[np.bool_]:
    """Of each of these records whether a trained one has exactly its text. Reads the trained records once."""
    digests = [_digest(record) for record in unseen]
    wanted, found = set(digests), set[bytes]()
    for record in iter_records(data, is_asked=is_trained, cache=cache):
        found.update({_digest(record)} & wanted)
        if len(found) == len(wanted):
            break
    return np.array([digest in found for digest in digests], np.bool_)


def _digest(record: Record) -> bytes:
    return blake2b(record.content.encode(errors="surrogatepass"), digest_size=16).digest()
