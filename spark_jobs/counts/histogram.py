"""Histograms of whole numbers. All of them have the same bins, so they can be added."""

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

# The first number of each bin: 0, then twenty bins to a decade, up to more characters than a line can have.
EDGES: Final = np.unique([0, *(round(10 ** (step / 20)) for step in range(170))])


class Histogram(msgspec.Struct, frozen=True):
    """Numbers counted by bins that begin at EDGES. `total`, `least` and `most` are exact; all fields are 0 if empty."""

    counts: tuple[int, ...] = (0,) * len(EDGES)
    total: int = 0
    least: int = 0
    most: int = 0

    @property
    def num(self) -> int:
        """The number of values."""
        return sum(self.counts)


def histogram(values: np.ndarray) -> Histogram:
    """The histogram of these whole numbers, none of which is negative."""
    if not len(values):
        return Histogram()
    bins = np.searchsorted(EDGES, values, side="right") - 1
    counts = np.bincount(bins, minlength=len(EDGES))
    return Histogram(tuple(counts.tolist()), int(values.sum()), int(values.min()), int(values.max()))


def add_histograms(parts: Iterable[Histogram]) -> Histogram:
    """The histogram of the numbers of all parts together."""
    parts = [part for part in parts if part.num]
    if not parts:
        return Histogram()
    return Histogram(
        counts=tuple(map(sum, zip(*(part.counts for part in parts), strict=True))),
        total=sum(part.total for part in parts),
        least=min(part.least for part in parts),
        most=max(part.most for part in parts),
    )


def quantile(numbers: Histogram, share: float) -> int:
    """The number that about this share of all numbers does not exceed, as if each bin was filled evenly."""
    rank = share * numbers.num
    ends = np.cumsum(numbers.counts)
    index = int(np.searchsorted(ends, rank))
    inside = 1 - (ends[index] - rank) / numbers.counts[index]
    number = EDGES[index] + inside * (EDGES[index + 1] - 1 - EDGES[index])
    return int(np.clip(round(number), numbers.least, numbers.most))
