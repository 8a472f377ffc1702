"""The geometry of the histograms on the data card, whose scale is logarithmic."""

from math import log10
from typing import Final, NamedTuple

from spark_jobs.card.schema import Bin, Lengths

# A browser stretches a drawing to the room that it gets, so these are units, not pixels.
_WIDTH: Final = 1_000
_HEIGHT: Final = 100
_GAP: Final = 0.06  # between two bars, as a share of a bar's width


class Bar(NamedTuple):
    """The bar of one bin, which stands on the base line."""

    x: float
    width: float
    height: float
    bin: Bin


class Plot(NamedTuple):
    """A histogram in the units of its drawing."""

    width: int
    height: int
    bars: list[Bar]
    median: float
    ticks: list[tuple[int, float]]  # (length, x)


def plot_of(lengths: Lengths) -> Plot:
    """A bar's area stands for the number of texts. There is a tick at each power of ten."""
    start, end = _log(lengths.bins[0].first), _log(lengths.bins[-1].last + 1)
    x_scale = _WIDTH / (end - start)
    y_scale = _HEIGHT / max(map(_density, lengths.bins))
    bars = [
        Bar(
            x=(_log(each.first) - start) * x_scale,
            width=(_log(each.last + 1) - _log(each.first)) * x_scale * (1 - _GAP),
            height=_density(each) * y_scale,
            bin=each,
        )
        for each in lengths.bins
    ]
    powers = [10**exponent for exponent in range(9) if start <= exponent <= end]
    ticks = [(power, (_log(power) - start) * x_scale) for power in powers]
    return Plot(_WIDTH, _HEIGHT, bars, (_log(lengths.quantiles["50%"]) - start) * x_scale, ticks)


def _density(each: Bin) -> float:
    return each.count / (_log(each.last + 1) - _log(each.first))


def _log(length: float) -> float:
    """The decimal logarithm; of 0, that of one half, as the scale has no zero."""
    return log10(max(length, 0.5))
