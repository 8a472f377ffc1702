"""Histograms of whole numbers, with bins that are the same whatever the numbers."""

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

# Where bins begin: at 0, then twenty to a decade, up to more characters than a line can have.
EDGES: Final = np.unique([0, *(round(10 ** (step / 20)) for step in range(170))])


class Histogram(msgspec.Struct, frozen=True):
    """Whole numbers, counted by bins that begin at EDGES. `total`, `least`, `most` are exact; all is 0 if empty."""

    counts: tuple[int, ...] = (0,) * len(EDGES)
    total: int = 0
    least: int = 0
    most: int = 0

    @property
    def num(self) -> int:
        """How many numbers there are."""
        return sum(self.counts)


def histogram(values: np.ndarray) -> Histogram:
    """The histogram of whole numbers that are not negative."""
    if not len(values):
        return Histogram()
    bins = np.searchsorted(EDGES, values, side="right") - 1
    counts = np.bincount(bins, minlength=len(EDGES))
    return Histogram(tuple(counts.tolist()), int(values.sum()), int(values.min()), int(values.max()))


def add_histograms(parts: Iterable[Histogram]) -> Histogram:
    """The histogram of all the numbers that the parts are of."""
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
    """A number that about this share of all do not exceed, read off the bins as if each was filled evenly."""
    rank = share * numbers.num
    ends = np.cumsum(numbers.counts)
    place = int(np.searchsorted(ends, rank))
    inside = 1 - (ends[place] - rank) / numbers.counts[place]
    number = EDGES[place] + inside * (EDGES[place + 1] - 1 - EDGES[place])
    return int(np.clip(round(number), numbers.least, numbers.most))
