"""Near duplicates: word shingles, MinHash-LSH to propose which records may be alike, exact Jaccard to decide.

Two records are near duplicates where the Jaccard similarity of their sets of shingles reaches a threshold; a group is
all records that such pairs connect. LSH finds a pair at the threshold with a probability of 99 %, a more similar one
nearly always; a pair below the threshold is never taken. Pure functions on Arrow and numpy, no Spark.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.columns import CONTENT, TITLE
from contract.keys import GOLDEN, mix64
from contract.text.words import part_words

SHINGLE_WORDS: Final = 3
RECALL: Final = 0.99  # of pairs whose similarity is the threshold itself
MAX_BANDS: Final = 20  # each band sends 16 bytes a record through the shuffle
MAX_HASHES: Final = 72  # each hash costs 30 ns a record of 110 shingles

_BLOCK_RECORDS: Final = 500  # their shingles stay in the processor's cache
_BLOCK_BYTES: Final = 2**14
_BLANK: Final = ord(" ")
_U64: Final = 2**64 - 1


@dataclass(frozen=True)
class Shingles:
    """Hashes of the shingles of some records, at least one a record and with repetitions."""

    hashes: np.ndarray  # uint64, record after record
    starts: np.ndarray  # int64, one more than records: those of record i are hashes[starts[i]:starts[i + 1]]

    @property
    def num_records(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True)
class Banding:
    """How many bands there are, and how many MinHashes two records must share for a band to propose them."""

    num_bands: int
    num_rows: int

    def recall(self, similarity: float) -> float:
        """The probability that a pair of this Jaccard similarity is proposed by one band or more."""
        return 1 - (1 - similarity**self.num_rows) ** self.num_bands


def plan_bands(threshold: float) -> Banding:
    """The banding that proposes the fewest pairs below the threshold (0.25 or more) and still RECALL of those at it.

    >>> plan_bands(0.8)
    Banding(num_bands=12, num_rows=5)
    """
    options = [
        Banding(num_bands, num_rows)
        for num_bands in range(1, MAX_BANDS + 1)
        for num_rows in range(1, MAX_HASHES // num_bands + 1)
    ]
    enough = [option for option in options if option.recall(threshold) >= RECALL]
    return max(enough, key=lambda option: (option.num_rows, -option.num_bands))


_FACTORS: Final = (mix64(np.arange(1, MAX_HASHES + 1, dtype=np.uint64) * np.uint64(GOLDEN)) | np.uint64(1)).astype(
    np.uint32
)


def shingles_of(records: pa.Table) -> Shingles:
    """Shingles of title and content: every three words in a row, without case; all words where there are fewer.

    In scripts without blanks between words, such as Han or Thai, each letter is a word (contract/text/words.py).
    So two texts of one or two words are near duplicates only if they are equal. Needs cleaned
    texts, with single blanks between words. About 3 us a record of 110 words.
    """
    parts = [_shingles_of_batch(batch) for batch in records.to_batches(max_chunksize=_BLOCK_RECORDS)]
    counts = [np.diff(part.starts) for part in parts]
    return Shingles(
        hashes=np.concatenate([part.hashes for part in parts] or [np.empty(0, np.uint64)]),
        starts=starts_of(np.concatenate(counts or [np.empty(0, np.int64)])),
    )


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Where each run of so many begins, and where the last one ends.

    >>> starts_of(np.array([2, 0, 3]))
    array([0, 2, 2, 5])
    """
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _shingles_of_batch(batch: pa.RecordBatch) -> Shingles:
    """A shingle's hash is that of its bytes and blanks: the difference between the values at its end and its start."""
    texts = part_words(pc.utf8_lower(pc.binary_join_element_wise(batch[TITLE], batch[CONTENT], " ")))
    texts = pc.binary_join_element_wise(texts, "", " ")  # words end at a blank
    bounds = starts_of(pc.binary_length(texts).to_numpy())
    data = np.frombuffer(texts.buffers()[2], np.uint8, count=bounds[-1])
    ends = np.flatnonzero(data == _BLANK)
    words = np.searchsorted(ends, bounds)  # first word of each text

    is_first = np.ones(len(ends), bool)
    is_first[words[1:] - 1] = is_first[words[1:] - 2] = False
    is_first[words[:-1]] = True
    first = np.flatnonzero(is_first)
    starts = starts_of(np.maximum(np.diff(words) - (SHINGLE_WORDS - 1), 1))
    last = first + (SHINGLE_WORDS - 1)
    last[starts[1:] - 1] = words[1:] - 1

    sums = np.concatenate([np.zeros(1, np.uint64), _sums_before(ends, data)])
    begins = np.concatenate([np.zeros(1, np.int64), ends + 1])
    return Shingles(mix64((sums[last + 1] - sums[first]) * _inverse_powers(begins[first])), starts)


def _powers(base: int, count: int) -> np.ndarray:
    return np.cumprod(np.concatenate([np.ones(1, np.uint64), np.full(count - 1, base, np.uint64)]))


_BASE: Final = GOLDEN
_INVERSE: Final = pow(_BASE, -1, 2**64)
_POWERS: Final = _powers(_BASE, _BLOCK_BYTES)
_INVERSE_POWERS: Final = _powers(_INVERSE, _BLOCK_BYTES)


def _sums_before(positions: np.ndarray, data: np.ndarray) -> np.ndarray:
    """The value of all bytes before each position, read as digits of a number to the base _BASE, modulo 2^64.

    Positions ascend, and a blank is at each: blanks are the digit 0. A block at a time, for the cache and for memory.
    """
    found = np.empty(len(positions), np.uint64)
    firsts = range(0, len(data), _BLOCK_BYTES)
    edges = np.searchsorted(positions, [*firsts, len(data)])
    before, scale = 0, 1
    for number, first in enumerate(firsts):
        digits = data[first : first + _BLOCK_BYTES] ^ np.uint8(_BLANK)
        sums = np.cumsum(digits * _POWERS[: len(digits)])
        inside = slice(edges[number], edges[number + 1])
        found[inside] = sums[positions[inside] - first] * np.uint64(scale) + np.uint64(before)
        before = before + int(sums[-1]) * scale & _U64
        scale = scale * pow(_BASE, _BLOCK_BYTES, 2**64) & _U64
    return found


def _inverse_powers(positions: np.ndarray) -> np.ndarray:
    """Factors that turn the value of digits that begin at a position into their value at position 0."""
    blocks = positions // _BLOCK_BYTES
    block_powers = _powers(pow(_INVERSE, _BLOCK_BYTES, 2**64), int(blocks.max(initial=0)) + 1)
    return block_powers[blocks] * _INVERSE_POWERS[positions - blocks * _BLOCK_BYTES]


def hash_bands(shingles: Shingles, banding: Banding) -> np.ndarray:
    """[bands, records] of uint64: two records are candidates if they have an equal band. About 2 us a record."""
    hashes = (shingles.hashes >> np.uint64(32)).astype(np.uint32)
    bands = np.empty((banding.num_bands, shingles.num_records), np.uint64)
    for first in range(0, shingles.num_records, _BLOCK_RECORDS):
        starts = shingles.starts[first : first + _BLOCK_RECORDS + 1]
        block = hashes[starts[0] : starts[-1]]
        permuted = np.empty_like(block)
        factors = iter(_FACTORS)
        for band in range(banding.num_bands):
            value = np.full(len(starts) - 1, band, np.uint64)
            for _ in range(banding.num_rows):
                np.multiply(block, next(factors), out=permuted)
                value = value * np.uint64(GOLDEN) + np.minimum.reduceat(permuted, starts[:-1] - starts[0])
            bands[band, first : first + _BLOCK_RECORDS] = mix64(value)
    return bands
