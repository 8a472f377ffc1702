"""What the readers of all formats take and give: a part of a file, and the three fields of each line or row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa


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
