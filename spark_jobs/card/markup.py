"""The building blocks of card.html: numbers, texts that came from outside, tables, sections."""

import html
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from spark_jobs.card.changes import changes

# Controls, formats (direction marks among them), halves of surrogate pairs, what is not assigned, line separators:
# none is shown as it is, since it would be invisible, or change how its neighbours are shown.
_UNSAFE: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_BYTE_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB", "PB")


def shown(text: str) -> str:
    """A text from outside as HTML: escaped, its direction isolated, each invisible character as its code point.

    >>> shown("<b>")
    '<bdi>&lt;b&gt;</bdi>'
    """
    return f"<bdi>{_escaped(text)}</bdi>"


def marked(before: str, after: str, *, is_cut: bool) -> tuple[str, str]:
    """Both texts as HTML, with what was removed marked in the first and what was inserted in the second.

    Where the first was cut, the second ends with what became of its last piece.
    """
    pieces = changes(before, after)
    if is_cut and pieces and not pieces[-1].is_same:
        pieces[-1] = pieces[-1]._replace(after="")
    old, new = [], []
    for piece in pieces:
        old.append(_escaped(piece.before) if piece.is_same else _tagged("del", piece.before))
        new.append(_escaped(piece.after) if piece.is_same else _tagged("ins", piece.after))
    return f"<bdi>{''.join(old)}</bdi>", f"<bdi>{''.join(new)}</bdi>"


def _tagged(tag: str, text: str) -> str:
    return f"<{tag}>{_escaped(text)}</{tag}>" if text else ""


def _escaped(text: str) -> str:
    return "".join(map(_escaped_character, text))


@lru_cache(maxsize=10_000)
def _escaped_character(character: str) -> str:
    if character not in "\n\t" and unicodedata.category(character) in _UNSAFE:
        return f'<span class="cp">U+{ord(character):04X}</span>'
    return html.escape(character)


def number(value: float) -> str:
    """A number for people, and as card.json has it for programs.

    >>> number(1390403)
    '<data value="1390403">1,390,403</data>'
    """
    return _data(value, f"{value:,}")


def percent(share: float) -> str:
    """A share of one as a percentage; what is there at all is never shown as nothing, nor what lacks something as all.

    >>> percent(0.25), percent(0.00001)
    ('<data value="0.25">25.0 %</data>', '<data value="1e-05">&lt; 0.1 %</data>')
    """
    if 0 < share < 0.001:
        return _data(share, "< 0.1 %")
    if 0.999 < share < 1:
        return _data(share, "> 99.9 %")
    return _data(share, f"{share * 100:.1f} %")


def of_bytes(count: int) -> str:
    """A number of bytes in a fitting unit.

    >>> of_bytes(1803000000)
    '<data value="1803000000">1.8 GB</data>'
    """
    power = min((len(str(count)) - 1) // 3, len(_BYTE_UNITS) - 1)
    scaled = f"{count / 1000**power:.1f}" if power else str(count)
    return _data(count, f"{scaled} {_BYTE_UNITS[power]}")


def amount(count: int, noun: str, plural: str = "") -> str:
    """A number of things, in the singular or plural, which ends in s unless told otherwise."""
    return f"{number(count)} {noun if count == 1 else plural or noun + 's'}"


def _data(value: float, text: str) -> str:
    return f'<data value="{value!r}">{html.escape(text)}</data>'


def section(title: str, lead: str, *content: str) -> str:
    """A section of the page; all three are HTML."""
    return f'<section>\n<h2>{title}</h2>\n<p class="lead">{lead}</p>\n' + "\n".join(content) + "\n</section>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML, or nothing if it has no rows. The first row tells the columns of numbers."""
    if not rows:
        return ""
    kinds = [_kind_of(cell) for cell in rows[0]]
    head = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(kinds, heads, strict=True))
    body = "\n".join(
        f"<tr>{''.join(f'<td{kind}>{cell}</td>' for kind, cell in zip(kinds, row, strict=True))}</tr>" for row in rows
    )
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _kind_of(cell: str) -> str:
    if cell.startswith("<svg"):
        return ' class="bar"'
    return ' class="n"' if cell.startswith("<data") or not cell else ""
