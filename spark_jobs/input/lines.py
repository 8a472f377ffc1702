"""Whole lines of a range of bytes, with their offsets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

import numpy as np

from contract.columns import RAW_PREFIX_BYTES

CHUNK_BYTES: Final = 8 * 2**20
_OVERRUN_BYTES: Final = 2**16  # read at a time to end the last line, which reaches beyond the range


@dataclass(frozen=True)
class Lines:
    """Lines in a run of bytes: where each begins and ends there, without its line feed, and its offset in the file.

    Of a line longer than is allowed there may be only a prefix.
    """

    data: bytes
    starts: np.ndarray
    ends: np.ndarray
    first_offset: int  # of `data` in the file
    is_too_long: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def offsets(self) -> np.ndarray:
        """Of each line's first byte, in the file."""
        return self.starts + self.first_offset

    def line(self, position: int) -> bytes:
        return self.data[self.starts[position] : self.ends[position]]


def iter_lines(
    file: IO[bytes], *, start: int, end: int | None, max_line_bytes: int, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Lines]:
    """The lines whose first byte lies in [start, end), a chunk of the file at a time.

    Ranges that touch share no line and miss none. Holds a chunk and at most `max_line_bytes` of an unfinished line.
    """
    last = float("inf") if end is None else end
    position = max(start - 1, 0)  # of the first byte in `pending`; one back, to see whether a line begins at `start`
    if position:
        file.seek(position)
    is_skipping = start > 0
    pending = b""
    while position < last:
        chunk = file.read(_read_size(last - position - len(pending), chunk_bytes))
        data = pending + chunk
        if is_skipping:
            skipped = data.find(b"\n") + 1
            position += skipped or len(data)
            data = data[skipped:] if skipped else b""
            is_skipping = not skipped
        whole_bytes = data.rfind(b"\n") + 1 if chunk else len(data)
        if whole_bytes and position < last:
            yield _split(data[:whole_bytes], position, last=last, max_line_bytes=max_line_bytes)
        position, pending = position + whole_bytes, data[whole_bytes:]
        if len(pending) > max(max_line_bytes, RAW_PREFIX_BYTES) and position < last:
            yield _too_long(pending[:RAW_PREFIX_BYTES], position)
            position, pending, is_skipping = position + len(pending), b"", True
        if not chunk:
            return


def _read_size(left_bytes: float, chunk_bytes: int) -> int:
    return int(min(chunk_bytes, max(left_bytes, _OVERRUN_BYTES)))


def _split(data: bytes, position: int, *, last: float, max_line_bytes: int) -> Lines:
    """Lines of `data`, which begins at `position` and ends with a line feed or the file."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    count = int(np.searchsorted(starts, last - position))
    starts, ends = starts[:count], ends[:count]
    return Lines(data, starts, ends, position, ends - starts > max_line_bytes)


def _too_long(prefix: bytes, position: int) -> Lines:
    return Lines(prefix, np.array([0]), np.array([len(prefix)]), position, np.array([True]))
