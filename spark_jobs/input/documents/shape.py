"""What a text is, as its first bytes say: JSON lines, JSON of another layout, or XML; and where its records are."""

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Final

from spark_jobs.input.fields import FieldNames
from spark_jobs.input.records.values import top_fields

_MOST_LINES: Final = 10  # looked at
_BOM: Final = b"\xef\xbb\xbf"
_BLANKS: Final = b" \t\r\n"
_TOKENS: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?|[\[\]{}]', re.DOTALL)


class Shape(Enum):
    """How the records lie in a text."""

    LINES = "JSON lines"
    VALUES = "JSON"  # an array, an object that holds a list, or objects one after the other
    XML = "XML"


@dataclass(frozen=True)
class Place:
    """The lists whose items are the records: those under `key` that begin at `depth` brackets; without a key, at none.

    Without a key, objects outside any list are records, too.
    """

    depth: int = 0
    key: bytes | None = None  # as it is spelt in the text


def shape_of(start: bytes, *, is_whole: bool) -> Shape:
    """The shape of a text in UTF-8 that begins so; `is_whole` if that is all of it.

    JSON lines is what can be neither of the others, so that one broken line at the start changes nothing.
    """
    text = start.removeprefix(_BOM).lstrip(_BLANKS)
    if not text.startswith((b"<", b"{", b"[")) or _has_neighbours(text):
        return Shape.LINES
    if text.startswith(b"<"):
        return Shape.XML
    first, feed, rest = text.partition(b"\n")
    if not feed and not is_whole:
        return Shape.VALUES  # a line that does not end
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
    for token in _TOKENS.finditer(line):
        if token[0] in b"{[":
            brackets += token[0]
        elif token[0] in b"}]":
            del brackets[-1:]
    last, following = line.rstrip(_BLANKS)[-1:], rest.lstrip(_BLANKS)[:1]
    if not brackets or not following:
        return False
    if last in b"{," and brackets[-1:] == b"{":
        return following in b'"}'
    return last in b"[,:" or following in b",]}:"


def has_pages(start: bytes, names: FieldNames) -> bool:
    """Whether the lines of JSON lines are pages, as the first shows: both texts are in objects of a list only."""
    top, lists = _lists_of(start.removeprefix(_BOM).lstrip(_BLANKS).partition(b"\n")[0])
    wanted = [top_fields(names.title), top_fields(names.content)]
    return not any(each & top.names for each in wanted) and any(
        all(each & inner.names for each in wanted) for inner in lists
    )


@dataclass
class _List:
    """A list of the text's start: where it begins, and the names of the fields in its objects."""

    depth: int
    key: bytes | None
    num_objects: int = 0
    names: set[str] = field(default_factory=set)


def find_place(start: bytes, names: FieldNames) -> Place:
    """Where the records are in a text of shape VALUES: at the top, unless only objects of a list below have a title.

    Of several such lists it is the first; where no object has a title at all, the one with most objects.
    """
    top, lists = _lists_of(start)
    for name in (names.title, names.content):
        if top_fields(name) & top.names:
            return Place()
        for each in lists:
            if top_fields(name) & each.names:
                return Place(each.depth, each.key)
    is_object = start.removeprefix(_BOM).lstrip(_BLANKS).startswith(b"{")
    fullest = max(lists, key=lambda each: each.num_objects, default=None)
    return Place(fullest.depth, fullest.key) if is_object and fullest else Place()


def _lists_of(start: bytes) -> tuple[_List, list[_List]]:
    """The objects at the top, as those of a list; and the lists below that have a name and hold objects, in order."""
    top, lists = _List(0, None), []
    open_lists: list[_List | None] = []  # for each open bracket its list; None for an object
    names_of: list[set[str]] = []  # for each open bracket the names of the objects there
    key = None
    for token in _TOKENS.finditer(start):
        sign = token[0]
        if sign == b"{":
            parent = open_lists[-1] if open_lists else top
            open_lists.append(None)
            names_of.append(set() if parent is None else parent.names)
            if parent is not None:
                parent.num_objects += 1
        elif sign == b"[":
            found = _List(len(open_lists), key) if open_lists else top
            open_lists.append(found)
            names_of.append(set())
            if found is not top and key is not None:
                lists.append(found)
        elif sign in b"}]":
            del open_lists[-1:], names_of[-1:]
        elif token[2] and names_of:
            names_of[-1].add(_unescape(token[1]))
        key = token[1] if token[2] else None
    return top, [each for each in lists if each.num_objects]


def _unescape(key: bytes) -> str:
    try:
        return str(json.loads(b'"' + key + b'"'))
    except ValueError:
        return key.decode(errors="replace")
