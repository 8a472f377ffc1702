"""Texts as a terminal may show them: nothing that it would obey, no wider than it is, no character that it lacks."""

import codecs
import io
import json
import sys
import unicodedata
from typing import Final

WIDTH: Final = 80
_WIDE: Final = ("W", "F")
_ESCAPES: Final = "vitrine-escapes"  # the name of an error handler


def printable(text: str) -> str:
    r"""The text with escapes for what a terminal would obey, hide or turn round, such as colours and directions.

    >>> printable("Mug \x1b[31m \u202egnis\ud800")
    'Mug \\x1b[31m \\u202egnis\\ud800'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def columns(text: str) -> int:
    """Columns that a printable text takes: marks none, East Asian letters two.

    >>> columns("cafe\u0301"), columns("茶")
    (4, 2)
    """
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def cut(text: str, width: int) -> str:
    """A printable text of at most so many columns, its end replaced by an ellipsis where it has more.

    >>> cut("Red Mug", 7), cut("Red Mug", 5)
    ('Red Mug', 'Red …')
    """
    if columns(text) <= width:
        return text
    return text[: _fitting(text, width - 1)] + "…"


def wrap(text: str, width: int, *, max_lines: int) -> list[str]:
    """Lines of at most so many columns, broken at blanks where there are any; the last one is cut.

    >>> wrap("a red mug for tea", 7, max_lines=2)
    ['a red', 'mug fo…']
    """
    lines: list[str] = []
    while columns(text) > width and len(lines) < max_lines - 1:
        end = max(_fitting(text, width), 1)
        blank = text.rfind(" ", 1, end + 1)
        lines.append(text[: blank if blank > 0 else end].rstrip())
        text = text[blank if blank > 0 else end :].lstrip()
    return [*lines, cut(text, width)]


def _fitting(text: str, width: int) -> int:
    """Characters of the longest start that takes at most so many columns."""
    taken = 0
    for position, character in enumerate(text):
        taken += _columns_of(character)
        if taken > width:
            return position
    return len(text)


def escape_what_cannot_be_encoded() -> None:
    r"""From now on, what is printed never fails for a character: `é` becomes `\u00e9` in ASCII.

    The escapes are those of JSON, in which they mean the same characters. So a line of JSON stays one. In UTF-8, only
    bytes of a file's name that are no text are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ESCAPES, _escaped)
