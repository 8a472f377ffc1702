"""The drawings of card.html, as SVG: bars of tables, and histograms on a logarithmic scale."""

from math import log10
from typing import Final

from spark_jobs.card.markup import number
from spark_jobs.card.schema import Bin, Lengths

# Drawings are stretched to the room that they get, so these are units, not pixels.
_WIDTH: Final = 1_000
_HEIGHT: Final = 100
_GAP: Final = 0.06  # between bars of a histogram, as a share of one
_LEAST_WIDTH: Final = 3  # of a slice that is not empty

_NAMES: Final = {
    "5%": "5 % up to",
    "25%": "a quarter up to",
    "50%": "half up to",
    "75%": "three quarters up to",
    "95%": "95 % up to",
}


def bar(*slices: tuple[str, float, float]) -> str:
    """A bar of slices (class, start, end), with starts and ends from 0 to 1."""
    rects = "".join(
        f'<rect class="{name}" x="{start * _WIDTH:.2f}" y="0"'
        f' width="{max((end - start) * _WIDTH, _LEAST_WIDTH):.2f}" height="10"/>'
        for name, start, end in slices
        if end > start
    )
    return f'<svg viewBox="0 0 {_WIDTH} 10" preserveAspectRatio="none" aria-hidden="true">{rects}</svg>'


def histogram(lengths: Lengths) -> str:
    """A figure: a bar's area stands for the number of texts, a line for the median."""
    start, end = _log(lengths.bins[0].first), _log(lengths.bins[-1].last + 1)
    x_scale = _WIDTH / (end - start)
    y_scale = _HEIGHT / max(map(_density, lengths.bins))
    bars = "".join(_bar_of(each, start=start, x_scale=x_scale, y_scale=y_scale) for each in lengths.bins)
    median = (_log(lengths.quantiles["50%"]) - start) * x_scale
    ticks = "".join(
        f'<span style="left:{(exponent - start) / (end - start):.1%}">{10**exponent:,}</span>'
        for exponent in range(9)
        if start <= exponent <= end
    )
    return (
        f'<figure class="plot"><figcaption>{lengths.of.capitalize()}, in {lengths.unit}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img">'
        f"<title>Histogram of the lengths of {lengths.of} in {lengths.unit}</title>{bars}"
        f'<line x1="{median:.1f}" x2="{median:.1f}" y1="0" y2="{_HEIGHT}"/></svg>'
        f'<div class="ticks" aria-hidden="true">{ticks}</div>{_facts(lengths)}</figure>'
    )


def _facts(lengths: Lengths) -> str:
    values = {"shortest": lengths.shortest, **lengths.quantiles, "longest": lengths.longest, "mean": lengths.mean}
    told = "".join(
        f'<li class="{_class_of(name)}">{_NAMES.get(name, name)} {number(value)}</li>' for name, value in values.items()
    )
    return f'<ul class="facts">{told}<li>{number(lengths.texts)} texts</li></ul>'


def _class_of(fact: str) -> str:
    return "median" if fact == "50%" else "fact"


def _bar_of(each: Bin, *, start: float, x_scale: float, y_scale: float) -> str:
    left, right = ((_log(edge) - start) * x_scale for edge in (each.first, each.last + 1))
    height = _density(each) * y_scale
    return (
        f'<rect x="{left:.2f}" y="{_HEIGHT - height:.2f}" width="{(right - left) * (1 - _GAP):.2f}"'
        f' height="{height:.2f}"><title>{each.first:,} to {each.last:,}: {each.count:,}</title></rect>'
    )


def _density(each: Bin) -> float:
    return each.count / (_log(each.last + 1) - _log(each.first))


def _log(length: float) -> float:
    """Of nothing, that of one half: the scale has no zero."""
    return log10(max(length, 0.5))
