"""What a text is, as its first bytes say: JSON lines, JSON of another layout, or XML."""

import json
import re
from enum import Enum
from itertools import pairwise
from typing import Final

_MOST_LINES: Final = 10  # looked at
BOM: Final = b"\xef\xbb\xbf"
BLANKS: Final = b" \t\r\n"
# Strings, with a colon where they are keys, and brackets.
TOKENS: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?|[\[\]{}]', re.DOTALL)


class Shape(Enum):
    """How the records lie in a text."""

    LINES = "JSON lines"
    VALUES = "JSON"  # an array, an object that holds a list, or objects one after the other
    XML = "XML"


def shape_of(start: bytes, *, is_whole: bool) -> Shape:
    """The shape of a text in UTF-8 that begins so; `is_whole` if that is all of it.

    JSON lines is what can be neither of the others, so that one broken line at the start changes nothing.
    """
    text = start.removeprefix(BOM).lstrip(BLANKS)
    if not text.startswith((b"<", b"{", b"[")) or _has_neighbours(text):
        return Shape.LINES
    if text.startswith(b"<"):
        return Shape.XML
    first, feed, rest = text.partition(b"\n")
    if not feed and not is_whole:
        return Shape.VALUES  # a line that does not end
    if _is_item(first) and _is_item(rest.partition(b"\n")[0]):
        return Shape.VALUES  # an object a line, with commas between them and no brackets around them
    is_alone, is_open = _is_json(first), _continues(first, rest)
    following = [line for line in (line.strip() for line in rest.split(b"\n")[:3]) if line]
    if is_alone and first.startswith(b"{"):
        return Shape.LINES if following or not is_whole else Shape.VALUES
    has_record_lines = any(line.startswith(b"{") and _is_json(line) for line in following)
    if first.startswith(b"["):
        return Shape.LINES if is_alone and has_record_lines else Shape.VALUES
    return Shape.VALUES if is_open or (_has_several(first) and not has_record_lines) else Shape.LINES


def _has_neighbours(text: bytes) -> bool:
    """Whether two whole objects stand on lines one after the other without a comma: in no array, and in no object."""
    lines = [line for line in (line.strip() for line in text.split(b"\n")[:_MOST_LINES]) if line]
    is_whole = [line.startswith(b"{") and _is_json(line) for line in lines]
    return any(first and second for first, second in pairwise(is_whole))


def _is_item(line: bytes) -> bool:
    """Whether the line is a whole object with a comma behind it."""
    item = line.strip()
    return item.startswith(b"{") and item.endswith(b",") and _is_json(item[:-1])


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _has_several(line: bytes) -> bool:
    """Whether a line begins with an object and goes on with another."""
    try:
        _, end = json.JSONDecoder().raw_decode(line.decode())
    except (ValueError, RecursionError):
        return False
    return line.decode()[end:].lstrip().startswith("{")


def _continues(line: bytes, rest: bytes) -> bool:
    """Whether a JSON value that begins on this line goes on with the next one."""
    brackets = bytearray()
    for token in TOKENS.finditer(line):
        if token[0] in b"{[":
            brackets += token[0]
        elif token[0] in b"}]":
            del brackets[-1:]
    last, following = line.rstrip(BLANKS)[-1:], rest.lstrip(BLANKS)[:1]
    if not brackets or not following:
        return False
    if last in b"{," and brackets[-1:] == b"{":
        return following in b'"}'
    return last in b"[,:" or following in b",]}:"
