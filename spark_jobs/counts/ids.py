"""Ids that several different records have, counted in a sample whose size has a bound.

The sample holds the ids of the smallest hashes, so it is the same however the records were divided. With at most
NUM_IDS different ids it holds all of them.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import numpy as np
import pyarrow as pa

from contract.keys import GOLDEN, key_words
from contract.text.joined import bytes_of

NUM_IDS: Final = 4_096
_LONGEST: Final = 32  # bytes of an id that numpy hashes
_SHIFT: Final = np.uint64(29)


def sample_ids(uids: pa.StringArray, keys: pa.FixedSizeBinaryArray) -> bytes:
    """The sample of these records: pairs of the hash of an id and the start of its record's key. 0.1 us a record."""
    return _smallest(np.stack([_hashes(uids), key_words(keys)[:, 0].astype(np.uint64)], axis=1))


def merge_ids(samples: Iterable[bytes]) -> bytes:
    """The sample of the records of all samples together."""
    return _smallest(np.frombuffer(b"".join(samples), np.uint64).reshape(-1, 2))


def num_shared_ids(sample: bytes) -> int:
    """About how many ids belong to several records that differ in their texts; exact if all ids are in the sample."""
    hashes = np.frombuffer(sample, np.uint64).reshape(-1, 2)[:, 0]
    ids, counts = np.unique(hashes, return_counts=True)
    share = int(ids[-1]) / 2**64 if len(ids) == NUM_IDS else 1
    return round(int((counts > 1).sum()) / share)


def _smallest(pairs: np.ndarray) -> bytes:
    """The pairs of the NUM_IDS smallest hashes, in order, each once, at most two with the same hash."""
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    is_new = np.ones(len(pairs), bool)
    is_new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    pairs = pairs[is_new]
    is_third = np.zeros(len(pairs), bool)
    is_third[2:] = pairs[2:, 0] == pairs[:-2, 0]
    pairs = pairs[~is_third]
    is_first = np.ones(len(pairs), bool)
    is_first[1:] = pairs[1:, 0] != pairs[:-1, 0]
    return pairs[np.cumsum(is_first) <= NUM_IDS].tobytes()


def _hashes(texts: pa.StringArray) -> np.ndarray:
    """A number (uint64) for each text, which may be null; the same in every process."""
    if not len(texts):
        return np.zeros(0, np.uint64)
    found, offsets = bytes_of(texts)
    data = found.tobytes() + bytes(8)
    words = np.ndarray(len(data) - 7, "<u8", data, strides=(1,))
    lengths = np.diff(offsets).astype(np.int64)
    hashes = lengths.astype(np.uint64)
    for start in range(0, min(_LONGEST, int(lengths.max())), 8):
        left = np.clip(lengths - start, 0, 8)
        has_more = left > 0
        word = words[np.where(has_more, offsets[:-1] + start, 0)]
        word = np.where(
            left == 8, word, word & ((np.uint64(1) << (8 * left).astype(np.uint64) % np.uint64(64)) - np.uint64(1))
        )
        hashes = _mixed(np.where(has_more, hashes ^ word, hashes))
    for row in np.flatnonzero(lengths > _LONGEST).tolist():
        digest = blake2b(data[offsets[row] : offsets[row + 1]], digest_size=8).digest()
        hashes[row] = int.from_bytes(digest, "little")
    return _mixed(hashes)


def _mixed(hashes: np.ndarray) -> np.ndarray:
    hashes = hashes * np.uint64(GOLDEN)
    hashes ^= hashes >> _SHIFT
    return hashes * np.uint64(GOLDEN)
