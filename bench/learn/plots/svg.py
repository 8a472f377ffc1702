"""Line charts and bar charts as SVG texts that can be read in light and dark mode."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

Points = Sequence[tuple[float, float]]

_WIDTH: Final = 760
_LEFT, _TOP, _BOTTOM, _LEGEND = 62, 56, 54, 190
_HEIGHT: Final = 360
_BAR: Final = 26  # height of a bar with the space below it
_LIGHT: Final = ("#1f6fb2", "#c2570c", "#1a7f5a", "#8a3fb0", "#b3261e", "#6b6b6b")
_DARK: Final = ("#6cb6ff", "#ffa657", "#56d4a0", "#d2a8ff", "#ff8a80", "#a8a8a8")


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A scale from its first to its last tick; `texts` stand at the ticks."""

    label: str
    ticks: tuple[float, ...]
    texts: tuple[str, ...]
    is_log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, from 0 at the first tick to 1 at the last."""
        low, high, at = self.ticks[0], self.ticks[-1], min(max(value, self.ticks[0]), self.ticks[-1])
        if self.is_log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points of one colour, and a line that need not go through them."""

    label: str
    colour: int
    dots: Points = ()
    line: Points = ()
    is_dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A value with its name and its text."""

    label: str
    value: float
    text: str
    colour: int = 0


def line_chart(title: str, series: Sequence[Series], *, x: Axis, y: Axis) -> str:
    """A chart with its legend on the right."""
    right, low = _WIDTH - _LEGEND, _HEIGHT - _BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return _LEFT + x.share(point[0]) * (right - _LEFT), low - y.share(point[1]) * (low - _TOP)

    parts = []
    for value, text in zip(y.ticks, y.texts, strict=True):
        at = place((x.ticks[0], value))[1]
        parts += [_rule(_LEFT, at, right, at), _text(_LEFT - 8, at + 4, text, anchor="end")]
    for value, text in zip(x.ticks, x.texts, strict=True):
        at = place((value, y.ticks[0]))[0]
        parts += [_rule(at, low, at, low + 5), _text(at, low + 20, text, anchor="middle")]
    parts.append(_text((_LEFT + right) / 2, low + 42, x.label, anchor="middle"))
    parts.append(_text(_LEFT - 8, _TOP - 12, y.label, anchor="start"))
    for number, each in enumerate(series):
        line, dots = [place(point) for point in each.line], [place(point) for point in each.dots]
        at = _TOP + 8 + 24 * number
        if line:
            parts.append(_path(line, each))
            parts.append(_path([(right + 14, at), (right + 38, at)], each))
        parts += [_dot(*point, each.colour) for point in dots]
        if dots:
            parts.append(_dot(right + 26, at, each.colour))
        parts.append(_text(right + 46, at + 4, each.label))
    return _document(title, parts, height=_HEIGHT)


def bar_chart(title: str, bars: Sequence[Bar], *, most: float, label: str) -> str:
    """Bars that lie, one below the other, with their names on the left and their texts behind them."""
    left, right = 330, _WIDTH - 70
    parts = [_text(left, _TOP - 10, label)]
    for number, bar in enumerate(bars):
        top = _TOP + _BAR * number
        width = max(1.5, (right - left) * min(1.0, bar.value / most))
        parts.append(
            f'<rect class="f{bar.colour}" x="{left}" y="{top}" width="{width:.1f}" height="{_BAR - 8}" rx="2"/>'
        )
        parts.append(_text(left - 10, top + 13, bar.label, anchor="end"))
        parts.append(_text(left + width + 8, top + 13, bar.text))
    return _document(title, parts, height=_TOP + _BAR * len(bars) + 14)


def _document(title: str, parts: Sequence[str], *, height: float) -> str:
    """A background of its own makes it readable on pages whose mode is not that of the system."""
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" width="{_WIDTH}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_style(_LIGHT, paper='#ffffff', ink='#24292f', rule='#d0d7de')}\n"
        f"@media (prefers-color-scheme: dark) {{\n{_style(_DARK, paper='#0d1117', ink='#e6edf3', rule='#3d444d')}\n}}\n"
        f'</style>\n<rect class="paper" width="{_WIDTH}" height="{height}" rx="6"/>\n'
        f'<text class="title" x="14" y="20">{escape(title)}</text>\n{inside}\n</svg>\n'
    )


def _style(colours: Sequence[str], *, paper: str, ink: str, rule: str) -> str:
    lines = [
        f".paper {{ fill: {paper} }}",
        f"text {{ fill: {ink}; font: 13px system-ui, sans-serif }}",
        ".title { font-weight: 600; font-size: 14px }",
        f".rule {{ stroke: {rule}; fill: none }}",
    ]
    for number, colour in enumerate(colours):
        lines.append(f".f{number} {{ fill: {colour} }} .s{number} {{ stroke: {colour}; fill: none; stroke-width: 2 }}")
    return "\n".join(lines)


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rule(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path class="rule" d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"/>'


def _path(points: Points, series: Series) -> str:
    dashes = ' stroke-dasharray="6 5"' if series.is_dashed else ""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="s{series.colour}"{dashes} d="M{steps}"/>'


def _dot(x: float, y: float, colour: int) -> str:
    return f'<circle class="f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
