"""Groups of near duplicates among some records: an exact join of their sets of shingles.

Two sets can reach the threshold only if they share one of the first few shingles of each, in any one order of all
shingles (prefix filter: Chaudhuri, Ganti, Kaushik, A primitive operator for similarity joins, 2006). With the rarest
first, few records share a shingle, and those that many share, such as a shop's boilerplate, are not looked at. Most of
the remaining pairs are excluded by a few bits of each set, which differ in no more positions than the sets do (bitmap
filter: Sandes, Teodoro, Melo, Bitmap filter: speeding up exact set similarity joins with bitwise operations, 2017).
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from contract.keys import mix64
from spark_jobs.near.candidates import connect, sorted_unique
from spark_jobs.near.shingles import Shingles, starts_of

# Of n records that share a shingle, max(MAX_COMPARISONS // n, MIN_CENTRES) are compared with all others of them: first
# those that resemble no earlier one, its centres. So up to 64 are compared pair by pair, and the work does not grow
# with the square of the records that share a boilerplate; pairs without a centre are left out.
MAX_COMPARISONS: Final = 64 * 64
MIN_CENTRES: Final = 4

_BATCH_SHINGLES: Final = 2**20  # looked up at a time
_BATCH_PAIRS: Final = 2**17  # whose bits are compared at a time
_NUM_BITS: Final = 512
_BATCH_RECORDS: Final = 2**14  # whose bits are set at a time
_ONES: Final = np.array([number.bit_count() for number in range(2**16)], np.uint8)
_ROUNDING: Final = 1e-6  # far more than the error of a product, far less than a shingle


@dataclass(frozen=True)
class _Sets:
    """The sets of shingles of some records; shingles are numbered from the rarest on."""

    codes: np.ndarray  # int64, ascending: record * num_shingles + shingle
    starts: np.ndarray  # int64, one more than records: where each record's codes begin
    num_shingles: int

    @property
    def num_records(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def bits(self) -> np.ndarray:
        """[records, words] of 16 bits: one bit is set for each shingle, the same one for the same shingle."""
        words = np.empty((self.num_records, _NUM_BITS // 16), np.uint16)
        for first in range(0, self.num_records, _BATCH_RECORDS):
            end = min(first + _BATCH_RECORDS, self.num_records)
            records, shingles = np.divmod(self.codes[self.starts[first] : self.starts[end]], self.num_shingles)
            is_set = np.zeros((end - first, _NUM_BITS), bool)
            is_set[records - first, shingles % _NUM_BITS] = True
            words[first:end] = np.packbits(is_set, axis=1).view(np.uint16)
        return words

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.starts)


@dataclass
class _Groups:
    """One entry is one record that shares a shingle with the others of its group, on its way through the rounds."""

    groups: np.ndarray  # ascending
    records: np.ndarray
    num_rounds: np.ndarray  # of this group: so many records are compared with all others
    is_met: np.ndarray  # whether the record resembles one of these

    def firsts(self) -> np.ndarray:
        """The position of each group's first entry."""
        return np.flatnonzero(np.diff(self.groups, prepend=-1))

    def filter(self, mask: np.ndarray) -> "_Groups":
        return _Groups(self.groups[mask], self.records[mask], self.num_rounds[mask], self.is_met[mask])


def group_records(shingles: Shingles, components: np.ndarray, *, threshold: float) -> np.ndarray:
    """The label of each record: the first record of its group of near duplicates, or itself.

    Only records of one component are compared, and other components make no difference. About 50 us a
    record of 110 shingles and 5 us a comparison.
    """
    sets = _sets_of(shingles, components)
    entries = _share_prefixes(sets, threshold)
    labels = np.arange(sets.num_records)
    num_rounds = 0
    while len(entries.groups):
        num_rounds += 1
        firsts = entries.firsts()
        counts = np.diff(firsts, append=len(entries.groups))
        positions = np.arange(len(entries.groups))
        centres = np.minimum.reduceat(positions + len(positions) * entries.is_met, firsts) % len(positions)
        pairs = np.stack([np.repeat(entries.records[centres], counts), entries.records])
        is_apart = labels[pairs[0]] != labels[pairs[1]]
        labels = connect(len(labels), labels[_similar_pairs(sets, pairs[:, is_apart], threshold)])[labels]

        entries.is_met |= labels[pairs[0]] == labels[pairs[1]]
        is_left = entries.num_rounds > num_rounds
        is_left[centres] = False
        is_left &= np.repeat(_are_apart(labels[entries.records], is_left, firsts), counts)
        entries = entries.filter(is_left)
    return labels


def _sets_of(shingles: Shingles, components: np.ndarray) -> _Sets:
    """Shingles of two components count as different, so that their rarity does not depend on other components."""
    records = np.repeat(np.arange(shingles.num_records), np.diff(shingles.starts))
    hashes = mix64(shingles.hashes ^ mix64(components.astype(np.uint64))[records])
    _, numbers, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    by_rarity = np.empty(len(counts), np.int64)
    by_rarity[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    codes = sorted_unique(records * len(counts) + by_rarity[numbers])
    starts = np.searchsorted(codes, np.arange(shingles.num_records + 1) * len(counts))
    return _Sets(codes, starts, len(counts))


def _share_prefixes(sets: _Sets, threshold: float) -> _Groups:
    """One group for each shingle that two records or more have in their prefix."""
    prefixes = sets.sizes - np.ceil(threshold * sets.sizes - _ROUNDING).astype(np.int64) + 1
    records, shingles = np.divmod(sets.codes[_ranges(sets.starts[:-1], prefixes)], sets.num_shingles)
    order = np.argsort(shingles, kind="stable")
    shingles, records = shingles[order], records[order]
    counts = np.bincount(shingles)[shingles]
    num_rounds = np.maximum(MAX_COMPARISONS // counts, MIN_CENTRES)
    return _Groups(shingles, records, num_rounds, np.zeros(len(records), bool)).filter(counts > 1)


def _ranges(firsts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers of all ranges, one range after the other.

    >>> _ranges(np.array([5, 1]), np.array([2, 3]))
    array([5, 6, 1, 2, 3])
    """
    starts = starts_of(counts)
    return np.arange(starts[-1]) + np.repeat(firsts - starts[:-1], counts)


def _are_apart(labels: np.ndarray, is_left: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Whether the remaining entries of each group have more than one label."""
    lowest = np.minimum.reduceat(np.where(is_left, labels, np.iinfo(labels.dtype).max), firsts)
    highest = np.maximum.reduceat(np.where(is_left, labels, -1), firsts)
    return lowest < highest


def _similar_pairs(sets: _Sets, pairs: np.ndarray, threshold: float) -> np.ndarray:
    """[2, similar pairs]: those of the pairs that reach the threshold, each once."""
    codes = sorted_unique(pairs.min(axis=0) * sets.num_records + pairs.max(axis=0))
    pairs = np.stack(np.divmod(codes, sets.num_records))
    sizes = sets.sizes[pairs]
    pairs = pairs[:, sizes.min(axis=0) >= threshold * sizes.max(axis=0) - _ROUNDING]
    parts = [
        _may_be_similar(sets, pairs[:, first : first + _BATCH_PAIRS], threshold)
        for first in range(0, pairs.shape[1], _BATCH_PAIRS)
    ]
    pairs = pairs[:, np.concatenate([*parts, np.empty(0, bool)])]
    ends = np.cumsum(sets.sizes[pairs[1]])
    cuts = np.searchsorted(ends, np.arange(0, ends.max(initial=0), _BATCH_SHINGLES))
    parts = [_jaccard(sets, pairs[:, first:end]) >= threshold for first, end in pairwise(np.unique([*cuts, len(ends)]))]
    return pairs[:, np.concatenate([*parts, np.empty(0, bool)])]


def _may_be_similar(sets: _Sets, pairs: np.ndarray, threshold: float) -> np.ndarray:
    """Whether the bits of each pair differ in so few positions that the sets may reach the threshold."""
    num_different = _ONES[sets.bits[pairs[0]] ^ sets.bits[pairs[1]]].sum(axis=1, dtype=np.int64)
    return num_different <= (1 - threshold) / (1 + threshold) * sets.sizes[pairs].sum(axis=0) + _ROUNDING


def _jaccard(sets: _Sets, pairs: np.ndarray) -> np.ndarray:
    """The similarity of each pair: the shingles of the second are looked up among those of the first."""
    left, right = pairs
    sizes = sets.sizes[right]
    codes = sets.codes[_ranges(sets.starts[right], sizes)] + np.repeat((left - right) * sets.num_shingles, sizes)
    found = np.minimum(np.searchsorted(sets.codes, codes), len(sets.codes) - 1)
    common = np.add.reduceat(sets.codes[found] == codes, starts_of(sizes)[:-1], dtype=np.int64)
    return common / (sets.sizes[left] + sizes - common)
