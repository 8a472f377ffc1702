"""What the readers of all formats take and give: a part of a file, and the three fields of each line or row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.columns import RAW_PREFIX_BYTES
from contract.errors import UserError
from contract.reasons import KEPT, REASON_CODE
from spark_jobs.input.records.names import advice_on_names
from spark_jobs.input.records.values import fields_in

NO_MARK: Final = "none"  # in place of a quotation mark or an escape


@dataclass(frozen=True)
class Part:
    """What one task reads of a file: all that begins in [start, end), and again every `every` further on.

    These count bytes of the decompressed file, or rows where the format is cut by rows. `end` is None for the rest of
    the file.
    """

    source: int  # index of the file in the sorted list of inputs
    start: int
    end: int | None
    every: int | None = None

    def holds(self, positions: np.ndarray) -> np.ndarray:
        """Which of these positions (int64) in the file belong to the part."""
        distance = positions - self.start
        if self.every is not None:
            distance = np.where(distance >= 0, distance % self.every, distance)
        return (distance >= 0) & (distance < (np.inf if self.end is None else self.end - self.start))


class FieldNames(NamedTuple):
    """The catalogue's names of the fields."""

    uid: str
    title: str
    content: str


@dataclass(frozen=True)
class ReadOptions:
    """What the user says of the input files."""

    names: FieldNames
    max_line_bytes: int
    encoding: str | None = None  # of texts that begin with no mark; None for UTF-8
    quote: str | None = None  # of delimited files: a character, NO_MARK, or None for what the start of a file shows
    escape: str | None = None  # likewise
    columns: tuple[str, ...] | None = None  # names of the columns of delimited files; None for those in the first row


class Fields(NamedTuple):
    """The fields of some lines, in order, as they were read."""

    uids: pa.StringArray  # null where there is none
    titles: pa.StringArray  # empty where there is none
    contents: pa.StringArray
    reasons: np.ndarray  # int8: the REASON_CODE of a line that could not be read, or KEPT
    offsets: np.ndarray  # int64: of a line's first byte; of a row, its number
    raws: pa.BinaryArray  # start of a line that could not be read, null where it could
    notes: Mapping[str, int] = {}  # how often something of spark_jobs.input.notes happened


def is_utf8(text: bytes) -> bool:
    """Whether the bytes are UTF-8."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def columns_of(name: str, found: Sequence[str]) -> list[int]:
    """The numbers of the columns that a setting names: of one, or of several with commas between; none of missing ones.

    >>> columns_of("a,b", ["a", "b", "c"]), columns_of("a,b", ["a", "b", "a,b"]), columns_of("x", ["a"])
    ([0, 1], [2], [])
    """
    wanted = [name] if name in found or plain_name(name) in found else fields_in(name)
    spelt = [each if each in found else plain_name(each) for each in wanted]
    return [found.index(each) for each in spelt] if all(each in found for each in spelt) else []


def plain_name(name: str) -> str:
    """The name of a column without line feeds and blanks around."""
    return " ".join(name.split())


def require_columns(names: FieldNames, found: Sequence[str], *, path: str, hint: str = "") -> None:
    """UserError where title or content is missing, or a name stands twice. A missing id is made from the texts."""
    twice = [name for name in names if list(found).count(plain_name(name)) > 1]
    if twice:
        raise UserError(
            f"{path} has several columns {' and several columns '.join(map(repr, twice))},"
            " expected each name once: rename all but one"
        )
    missing = [name for name in (names.title, names.content) if not columns_of(name, found)]
    if missing:
        raise UserError(
            f"{path} has no column {' and no column '.join(map(repr, missing))};"
            f" {advice_on_names(found, **names._asdict())}, or leave this file out of --input{hint}"
        )


def joined(texts: Sequence[pa.BinaryArray]) -> pa.BinaryArray:
    """The texts of one column, or of several with blanks between; those that are empty leave no blank."""
    if len(texts) == 1:
        return texts[0]
    some = [pc.if_else(pc.equal(text, b""), None, text) for text in texts]
    return pc.fill_null(pc.binary_join_element_wise(*some, b" ", null_handling="skip"), b"")


def fields_of_texts(
    uids: pa.BinaryArray, titles: pa.BinaryArray, contents: pa.BinaryArray, *, offsets: np.ndarray, max_bytes: int
) -> Fields:
    """The fields of rows whose texts are these bytes; rows of more bytes, and those not in UTF-8, are rejected."""
    texts = (uids, titles, contents)
    reasons = np.full(len(offsets), KEPT, np.int8)
    reasons[np.logical_or.reduce([_is_not_utf8(column) for column in texts])] = REASON_CODE["not_utf8"]
    sizes = sum(pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False) for column in texts)
    reasons[sizes > max_bytes] = REASON_CODE["too_long"]
    is_read = pa.array(reasons == KEPT)
    raws = pc.binary_slice(pc.fill_null(contents, b""), 0, RAW_PREFIX_BYTES)
    nothing = pa.scalar(None, pa.binary())
    read = [pc.if_else(is_read, column, nothing).view(pa.string()) for column in texts]
    return Fields(
        uids=read[0],
        titles=pc.fill_null(read[1], ""),
        contents=pc.fill_null(read[2], ""),
        reasons=reasons,
        offsets=offsets,
        raws=pc.if_else(is_read, nothing, raws),
    )


def _is_not_utf8(column: pa.BinaryArray) -> np.ndarray:
    try:
        column.cast(pa.string())  # checks every value
    except pa.ArrowInvalid:
        return np.array([value is not None and not is_utf8(value) for value in column.to_pylist()])
    return np.zeros(len(column), bool)
