r"""Escapes that were written twice: `\n`, `\"` and `\u2019` as characters, as dumps of databases and JSON have them."""

import re
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.text.joined import bytes_of, join, replace_pieces, split

_ESCAPE: Final = re.compile(
    rb"\\{1,4}(?:([nrt])|([\"'/])|u([dD][89abAB][0-9a-fA-F]{2})\\{1,4}u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))"
)
_SHARE: Final = rb"(?<![^\s\xff\"'(])\\\\[0-9A-Za-z]"
_PATH: Final = re.compile(rb"(?:(?<![0-9A-Za-z])[A-Za-z]:\\|%b)[^\s\xff]*\Z" % _SHARE)  # up to a backslash in it
_BACKSLASH: Final = ord("\\")
_LONGEST_PATH: Final = 100  # bytes before a backslash that are searched for the start of a path


def without_escapes(joined: bytes) -> bytes:
    r"""The texts with a blank for `\n`, `\r` and `\t`, and the characters that other escapes stand for.

    Before a small letter in a path, as in `C:\new`, `\n` stays. About 1 us for each backslash.
    """
    return replace_pieces(joined, b"\\", _replacement_at)


def num_with_escapes(texts: pa.StringArray) -> int:
    """The number of texts, none of them null, that `without_escapes` changes."""
    data, offsets = bytes_of(texts)
    if b"\\" not in data.tobytes():  # much faster than to look for places
        return 0
    places = np.flatnonzero(data == _BACKSLASH)
    some = texts.take(pa.array(np.unique(np.searchsorted(offsets, places, side="right") - 1)))
    return pc.sum(pc.not_equal(split(without_escapes(join(some))), some)).as_py()


def _replacement_at(joined: bytes, offset: int) -> tuple[bytes, int] | None:
    found = _ESCAPE.match(joined, offset)
    if not found:
        return None
    blank, sign, high, low, code = found.groups()
    if blank:
        before = joined[max(0, offset - _LONGEST_PATH) : offset + 1]
        is_in_path = joined[found.end() : found.end() + 1].islower() and _PATH.search(before)
        return None if is_in_path else (b" ", found.end())
    character = sign or bytes.fromhex((code or high + low).decode()).decode("utf-16-be", "replace").encode()
    return (b" " if character < b" " else character), found.end()
