"""Lines of JSON become fields. Pure functions, no Spark."""

import json
import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, NoReturn, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from contract.columns import CONTENT, RAW_PREFIX_BYTES, TITLE, UID
from contract.reasons import KEPT, REASON_CODE
from contract.text.clean import replace_lone_surrogates
from spark_jobs.input.fields import FieldNames, Fields
from spark_jobs.input.lines import Lines

_BOM: Final = b"\xef\xbb\xbf"
_GROUP_LINES: Final = 256  # parsed in one call; where one of them is broken, all are parsed again one by one


class Product(Protocol):
    """The fields of a line that are used; all others are skipped unread."""

    uid: str | int | None
    title: str | None
    content: str | None


@dataclass
class Read:
    """Fields as they were read."""

    uid: str | int | None = None
    title: str | None = None
    content: str | None = None


class Unreadable(NamedTuple):
    """A line that holds no product."""

    reason: str


def fields_of_lines(lines: Lines, names: FieldNames) -> Fields:
    """The fields of each line, in order. About 4 us a line of 800 bytes."""
    decoder = _decoder(names)
    reasons = np.full(len(lines), KEPT, np.int8)
    products: list[Product] = []
    for first in range(0, len(lines), _GROUP_LINES):
        end = min(first + _GROUP_LINES, len(lines))
        group = _parse_together(lines, first, end, decoder)
        if group is None:
            group = []
            for position in range(first, end):
                product = _parse_one(lines, position, decoder, names)
                if isinstance(product, Unreadable):
                    reasons[position] = REASON_CODE[product.reason]
                    product = Read()
                group.append(product)
        products += group
    raws: list[bytes | None] = [None] * len(lines)
    for position in np.flatnonzero(reasons != KEPT).tolist():
        raws[position] = lines.line(position)[:RAW_PREFIX_BYTES]
    return Fields(
        uids=pa.array([None if product.uid is None else str(product.uid) for product in products], pa.string()),
        titles=pa.array([product.title or "" for product in products], pa.string()),
        contents=pa.array([product.content or "" for product in products], pa.string()),
        reasons=reasons,
        offsets=lines.offsets,
        raws=pa.array(raws, pa.binary()),
    )


@cache
def _decoder(names: FieldNames) -> "msgspec.json.Decoder[Any]":
    """Of the type that has these fields, made from their names."""
    fields: list[Any] = [(UID, str | int | None, None), (TITLE, str | None, None), (CONTENT, str | None, None)]
    rename = {UID: names.uid, TITLE: names.title, CONTENT: names.content}
    # They hold no references in circles, and there are so many that looking for circles took a tenth of the time.
    return msgspec.json.Decoder(msgspec.defstruct("Product", fields, rename=rename, gc=False))


def _parse_together(lines: Lines, first: int, end: int, decoder: "msgspec.json.Decoder[Any]") -> list[Product] | None:
    """The products of these lines; None if one of them, or more, is not as it should be.

    Where every line begins with `{` and ends with `}` no value goes on from one line to the next: a line feed is
    allowed in no string, and between `}` and `{` in no other value. So as many values as lines are one for each.
    """
    data = np.frombuffer(lines.data, np.uint8)
    text = lines.data[lines.starts[first] : lines.ends[end - 1]]
    if (
        lines.is_too_long[first:end].any()
        or (lines.starts[first:end] >= lines.ends[first:end]).any()
        or (data[lines.starts[first:end]] != ord("{")).any()
        or (data[lines.ends[first:end] - 1] != ord("}")).any()
        or not _is_utf8(text)  # msgspec skips fields that are not used, so it does not see what is in them
    ):
        return None
    try:
        products = decoder.decode_lines(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return products if len(products) == end - first else None


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parse_one(
    lines: Lines, position: int, decoder: "msgspec.json.Decoder[Any]", names: FieldNames
) -> Product | Unreadable:
    if lines.is_too_long[position]:
        return Unreadable("too_long")
    text = lines.line(position)
    if lines.offsets[position] == 0:
        text = text.removeprefix(_BOM)
    if not _is_utf8(text):
        return Unreadable("not_json")
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _parse_slowly(text, names)


def _parse_slowly(text: bytes, names: FieldNames) -> Product | Unreadable:
    r"""What the standard library makes of a line: it knows lone surrogates (`\ud800`), and whether the rest is JSON.

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
    return Read(uid, title, content)


def _is_id(value: object) -> bool:
    return value is None or isinstance(value, str) or type(value) is int


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole_number(digits: str) -> int | float:
    """The number; infinity, which is no id, where it has more digits than Python is willing to read."""
    try:
        return int(digits)
    except ValueError:
        return math.inf
