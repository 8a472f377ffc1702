"""Lines of JSON become fields, without Spark."""

import json
import math
from collections.abc import Iterator
from functools import cache
from typing import IO, Any, Final, NamedTuple, NoReturn, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from contract.columns import CONTENT, RAW_PREFIX_BYTES, TITLE, UID
from contract.reasons import KEPT, REASON_CODE
from contract.text.clean import replace_lone_surrogates
from spark_jobs.input.fields import FieldNames, Fields, Part, ReadOptions, is_utf8
from spark_jobs.input.lines import Lines, iter_lines

_BOM: Final = b"\xef\xbb\xbf"
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
    decoder = _decoder(names)
    reasons = np.full(len(lines), KEPT, np.int8)
    all_fields: list[LineFields] = []
    for first in range(0, len(lines), _GROUP_LINES):
        end = min(first + _GROUP_LINES, len(lines))
        group = _parse_together(lines, first, end, decoder)
        if group is None:
            group = []
            for position in range(first, end):
                fields = _parse_one(lines, position, decoder, names)
                if isinstance(fields, Unreadable):
                    reasons[position] = REASON_CODE[fields.reason]
                    fields = decoder.type()
                group.append(fields)
        all_fields += group
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
    )


@cache
def _decoder(names: FieldNames) -> "msgspec.json.Decoder[Any]":
    """A decoder of the type with these fields, whose names are those of the catalogue."""
    fields: list[Any] = [(UID, str | int | None, None), (TITLE, str | None, None), (CONTENT, str | None, None)]
    rename = {UID: names.uid, TITLE: names.title, CONTENT: names.content}
    # gc=False: they hold no references in circles, and looking for circles among so many took a tenth of the time.
    return msgspec.json.Decoder(msgspec.defstruct("LineFields", fields, rename=rename, gc=False))


def _parse_together(
    lines: Lines, first: int, end: int, decoder: "msgspec.json.Decoder[Any]"
) -> list[LineFields] | None:
    """The fields of these lines; None if one or more of the lines cannot be read this way.

    Where every line begins with `{` and ends with `}`, no value extends over two lines: no string may hold a line feed,
    and no other value may hold `}`, a line feed and `{`. So if there are as many values as lines, each line has one.
    """
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
        products = decoder.decode_lines(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return products if len(products) == end - first else None


def _parse_one(
    lines: Lines, position: int, decoder: "msgspec.json.Decoder[Any]", names: FieldNames
) -> LineFields | Unreadable:
    if lines.is_too_long[position]:
        return Unreadable("too_long")
    text = lines.line(position)
    if lines.offsets[position] == 0:
        text = text.removeprefix(_BOM)
    if not is_utf8(text):
        return Unreadable("not_utf8")
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _parse_slowly(text, decoder, names)


def _parse_slowly(text: bytes, decoder: "msgspec.json.Decoder[Any]", names: FieldNames) -> LineFields | Unreadable:
    r"""The fields by the standard library, which accepts lone surrogates (`\ud800`) and knows whether the rest is JSON.

    A line nested deeper than Python's recursion limit (some 1,000 brackets), even in a field that is not used, counts
    as not_json, though it may be valid: neither parser can read it safely.
    """
    try:
        value = json.loads(text.decode(), parse_constant=_refuse_constant, parse_int=_whole_number)
    except (ValueError, RecursionError):
        return Unreadable("not_json")
    if not isinstance(value, dict):
        return Unreadable("not_a_record")
    uid, title, content = (value.get(name) for name in names)
    is_record = _is_id(uid) and all(text is None or isinstance(text, str) for text in (title, content))
    if not is_record:
        return Unreadable("not_a_record")
    uid, title, content = (
        replace_lone_surrogates(text) if isinstance(text, str) else text for text in (uid, title, content)
    )
    return decoder.type(uid, title, content)


def _is_id(value: object) -> bool:
    return value is None or isinstance(value, str) or type(value) is int


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole_number(digits: str) -> int | float:
    """The number; infinity, which is no id, if it has more digits than Python converts."""
    try:
        return int(digits)
    except ValueError:
        return math.inf
