"""How the values of a delimited file are set apart, and the same bytes in the one form that the scanner knows."""

from dataclasses import dataclass
from typing import Final

import numpy as np

_LINE_FEED: Final = ord("\n")
_RETURN: Final = ord("\r")
_BLANK: Final = ord(" ")


@dataclass(frozen=True)
class Dialect:
    """What the bytes of a file mean."""

    delimiter: bytes
    quote: bytes | None  # around a value that may hold delimiters and line ends; None where it is a plain character
    escape: bytes | None = None  # before a quotation mark within a quoted value, which may be doubled instead
    skips_blanks: bool = False  # before the quotation mark that opens a value
    ends_by_return: bool = False  # a line, by a carriage return alone


def in_one_form(lines: bytes, dialect: Dialect) -> bytes:
    r"""Lines of the same length that end by \n or \r\n, with quotation marks doubled, not escaped.

    A carriage return that ends no line becomes a blank.

    >>> in_one_form(b'"a \\"b",c\rd\r\n', Dialect(b",", b'"', escape=b"\\"))
    b'"a ""b",c d\r\n'
    """
    if dialect.ends_by_return:
        lines = lines.replace(b"\r", b"\n")
    elif b"\r" in lines:
        lines = _without_lone_returns(lines)
    if dialect.escape and dialect.quote and dialect.escape + dialect.quote in lines:
        lines = _doubled(lines, escape=dialect.escape[0], quote=dialect.quote[0])
    return lines


def _without_lone_returns(lines: bytes) -> bytes:
    data = np.frombuffer(lines, np.uint8)
    returns = np.flatnonzero(data == _RETURN)
    is_last = returns == len(data) - 1
    lone = returns[is_last | (data[np.where(is_last, 0, returns + 1)] != _LINE_FEED)]
    if not len(lone):
        return lines
    data = data.copy()
    data[lone] = _BLANK
    return data.tobytes()


def _doubled(lines: bytes, *, escape: int, quote: int) -> bytes:
    """An odd number of escapes before a quotation mark escapes it; the last of them becomes the second mark."""
    data = np.frombuffer(lines, np.uint8)
    quotes = np.flatnonzero(data == quote)
    num_escapes = np.zeros_like(quotes)
    left = np.arange(len(quotes))  # those before which all bytes that were looked at are escapes
    while len(left):
        before = quotes[left] - num_escapes[left] - 1
        left = left[(before >= 0) & (data[before] == escape)]
        num_escapes[left] += 1
    data = data.copy()
    data[quotes[num_escapes % 2 == 1] - 1] = quote
    return data.tobytes()
