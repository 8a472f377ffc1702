"""Lines of JSON become fields, without Spark."""

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import IO, Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET

from contract.columns import CONTENT, RAW_PREFIX_BYTES, TITLE, UID
from contract.reasons import KEPT, REASON_CODE
from contract.text.clean import replace_lone_surrogates
from spark_jobs.input.encodings import guess_encoding
from spark_jobs.input.fields import FieldNames, Fields, Part, ReadOptions, is_utf8
from spark_jobs.input.lines import Lines, iter_lines
from spark_jobs.input.records.repeated import is_looked_at, repeats_a_field
from spark_jobs.input.records.values import NotATextError, has_float, read_id, read_text, top_fields

_BOM: Final = b"\xef\xbb\xbf"
_PYTHON_DICT: Final = re.compile(r"\{\s*[uU]?'")
_GROUP_LINES: Final = 256  # parsed in one call; where one of them is broken, all are parsed again one by one


class LineFields(Protocol):
    """The fields of a line that are used; all others are skipped unread."""

    uid: str | int | None
    title: str | None
    content: str | None


class Unreadable(NamedTuple):
    """A line that holds no record."""

    reason: str


def read_json_lines(
    file: IO[bytes],
    part: Part,
    *,
    path: str,  # noqa: ARG001  # all readers take it, for their messages
    options: ReadOptions,
) -> Iterator[Fields]:
    """The fields of the lines that begin in this part."""
    start, end = part.start, part.end
    while True:
        for lines in iter_lines(file, start=start, end=end, max_line_bytes=options.max_line_bytes):
            yield fields_of_lines(lines, options.names)
        if part.every is None or end is None:
            return
        start, end = start + part.every, end + part.every
        if file.seek(start - 1) < start - 1:  # the file has ended before
            return


def fields_of_lines(lines: Lines, names: FieldNames) -> Fields:
    """The fields of each line, in order. About 4 us a line of 800 bytes."""
    nothing, notes = _decoder(names).type(), Counter[str]()
    reasons = np.full(len(lines), KEPT, np.int8)
    all_fields: list[LineFields] = []
    for first in range(0, len(lines), _GROUP_LINES):
        end = min(first + _GROUP_LINES, len(lines))
        group = _parse_together(lines, first, end, names)
        if group is None:
            group = []
            for position in range(first, end):
                fields = _parse_one(lines, position, names, notes)
                if isinstance(fields, Unreadable):
                    reasons[position] = REASON_CODE[fields.reason]
                    fields = nothing
                group.append(fields)
        all_fields += group
    if num_repeated := _num_repeated(lines, names):
        notes["repeated_field"] += num_repeated
    raws: list[bytes | None] = [None] * len(lines)
    for position in np.flatnonzero(reasons != KEPT).tolist():
        raws[position] = lines.line(position)[:RAW_PREFIX_BYTES]
    return Fields(
        uids=pa.array([None if fields.uid is None else str(fields.uid) for fields in all_fields], pa.string()),
        titles=pa.array([fields.title or "" for fields in all_fields], pa.string()),
        contents=pa.array([fields.content or "" for fields in all_fields], pa.string()),
        reasons=reasons,
        offsets=lines.offsets,
        raws=pa.array(raws, pa.binary()),
        notes=notes,
    )


@cache
def _decoder(names: FieldNames) -> "msgspec.json.Decoder[Any]":
    """A decoder of the type with these fields, whose names are those of the catalogue."""
    fields: list[Any] = [(UID, str | int | None, None), (TITLE, str | None, None), (CONTENT, str | None, None)]
    rename = {UID: names.uid, TITLE: names.title, CONTENT: names.content}
    # gc=False: they hold no references in circles, and looking for circles among so many took a tenth of the time.
    return msgspec.json.Decoder(msgspec.defstruct("LineFields", fields, rename=rename, gc=False))


@cache
def _is_plain(names: FieldNames) -> bool:
    """Whether each field has the name that stands in the settings: none lies below another, none is one of several."""
    return not any(sign in name for name in names for sign in ".,")


@cache
def _top_fields(names: FieldNames) -> tuple[str, ...]:
    return tuple(sorted(set().union(*map(top_fields, names))))


@cache
def _loose_decoder(names: FieldNames) -> "msgspec.json.Decoder[Any]":
    """A decoder of all that may be needed for these fields, of any type, in the order of `_top_fields`."""
    top = {f"field_{number}": name for number, name in enumerate(_top_fields(names))}
    return msgspec.json.Decoder(msgspec.defstruct("TopFields", [(name, Any, UNSET) for name in top], rename=top))


def _parse_together(lines: Lines, first: int, end: int, names: FieldNames) -> list[LineFields] | None:
    """The fields of these lines; None if one or more of the lines cannot be read this way.

    Where every line begins with `{` and ends with `}`, no value extends over two lines: no string may hold a line feed,
    and no other value may hold `}`, a line feed and `{`. So if there are as many values as lines, each line has one.
    """
    if not _is_plain(names):
        return None
    data = np.frombuffer(lines.data, np.uint8)
    text = lines.data[lines.starts[first] : lines.ends[end - 1]]
    if (
        lines.is_too_long[first:end].any()
        or (lines.starts[first:end] >= lines.ends[first:end]).any()
        or (data[lines.starts[first:end]] != ord("{")).any()
        or (data[lines.ends[first:end] - 1] != ord("}")).any()
        or not is_utf8(text)  # msgspec does not look into fields that are not used
    ):
        return None
    try:
        products = _decoder(names).decode_lines(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return products if len(products) == end - first else None


def _parse_one(lines: Lines, position: int, names: FieldNames, notes: Counter[str]) -> LineFields | Unreadable:
    """The fields of a line by the first way that can read it: each takes more kinds of values, and more time."""
    if lines.is_too_long[position]:
        return Unreadable("too_long")
    text = lines.line(position).removeprefix(_BOM)  # files with a mark that were put together have one inside
    if not is_utf8(text):
        if guess_encoding(text) == "cp1252":
            notes["cp1252"] += 1
        return Unreadable("not_utf8")
    if _is_plain(names):
        with suppress(msgspec.DecodeError, RecursionError):
            return _decoder(names).decode(text)
    with suppress(msgspec.DecodeError, RecursionError):
        values = zip(_top_fields(names), msgspec.structs.astuple(_loose_decoder(names).decode(text)), strict=True)
        record = {name: value for name, value in values if value is not UNSET}
        if not has_float(record):
            return _fields_of(record, names, notes)
    return _parse_slowly(text, names, notes)


def _parse_slowly(text: bytes, names: FieldNames, notes: Counter[str]) -> LineFields | Unreadable:
    r"""The fields by the standard library, which accepts lone surrogates (`\ud800`), NaN and Infinity.

    It keeps numbers as they are spelt. A line that is no JSON may still be a dict as Python writes it.
    A line nested deeper than Python's recursion limit (some 1,000 brackets), even in a field that is not used, counts
    as not_json, though it may be valid: neither parser can read it safely.
    """
    try:
        value = json.loads(text.decode(), parse_constant=_no_value, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        value = parse_python_line(text)
        if value is None:
            return Unreadable("not_json")
        notes["python_line"] += 1
    return _fields_of(value, names, notes) if isinstance(value, dict) else Unreadable("not_a_record")


def _fields_of(record: dict[str, Any], names: FieldNames, notes: Counter[str]) -> LineFields | Unreadable:
    try:
        title, content = read_text(record, names.title), read_text(record, names.content)
    except NotATextError:
        notes["object_text"] += 1
        return Unreadable("not_a_record")
    try:
        uid = read_id(record, names.uid)
    except NotATextError:
        uid = None
        notes["unusable_id"] += 1
    uid, title, content = (text and replace_lone_surrogates(text) for text in (uid, title, content))
    return _decoder(names).type(uid, title, content)


def _num_repeated(lines: Lines, names: FieldNames) -> int:
    """Lines of the sample that name one of the fields twice."""
    sample = np.flatnonzero(is_looked_at(lines.offsets) & ~lines.is_too_long).tolist()
    return sum(repeats_a_field(lines.line(position), _top_fields(names)) for position in sample)


def _no_value(name: str) -> None:  # noqa: ARG001  # NaN, Infinity or -Infinity
    return None


def parse_python_line(line: bytes) -> object | None:
    """The value of a line that holds a dict as Python prints it; None where it is no such line."""
    text = line.decode(errors="replace").strip()
    if not _PYTHON_DICT.match(text):  # of what begins as JSON does, Python would read some escapes otherwise
        return None
    with warnings.catch_warnings(), suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        warnings.simplefilter("ignore")  # about backslashes
        return ast.literal_eval(text)
    return None
