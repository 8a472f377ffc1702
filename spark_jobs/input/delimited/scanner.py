"""Cuts the bytes of a file into rows: sound ones by numpy, and one by one where something is wrong."""

from collections.abc import Iterator
from typing import IO, Final, NamedTuple

import numpy as np

from spark_jobs.input.delimited.dialect import Dialect, in_one_form
from spark_jobs.input.delimited.judge import Judge, Verdict
from spark_jobs.input.delimited.marks import Marks

CHUNK_BYTES: Final = 4 * 2**20
_NONE: Final = np.zeros(0, np.int64)
_LINE_FEED: Final = ord("\n")
_RETURN: Final = ord("\r")
_BLANK: Final = ord(" ")


class Rows(NamedTuple):
    """Rows in a run of bytes: where each begins and ends there, with its line feed, and verdicts by where they begin.

    A row without a verdict is sound as far as its quotation marks go; it may have any number of values, unless it has
    several lines. A rejected row ends where the next one begins.
    """

    data: bytes
    marks: Marks
    starts: np.ndarray
    ends: np.ndarray
    verdicts: dict[int, Verdict]
    original: bytes = b""  # `data` as it stood in the file, of the same length


class Scanner:
    """Finds the rows of consecutive runs of bytes."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self._skips_line = False  # the run before ended within a line of which nothing more is wanted
        self._is_open = False  # the row before may go on: see Verdict

    def scan(self, data: bytes, *, is_last: bool) -> tuple[Rows, int]:
        """The rows of `data`, and where the first unfinished one begins.

        `data` begins where a row does, or the rest of one. With `is_last` the file ends with it, by a line feed.
        """
        marks = Marks(data, self.judge.dialect)
        starts, ends = [_NONE], [_NONE]
        verdicts: dict[int, Verdict] = {}
        position = self._skip_line(data, 0) if self._skips_line else 0
        while position < len(data):
            if self._is_open:
                begins = self.judge.begins_row(data, position, is_last=is_last)
                if begins is None:
                    break
                if not begins:
                    position = self._skip_line(data, position)
                    if verdicts:
                        ends[-1] = np.array([position])
                    continue
                self._is_open = False
            sound_ends = marks.sound_ends(position, shape=self.judge.shape, max_row_bytes=self.judge.max_row_bytes)
            if len(sound_ends):
                starts += [np.array([position]), sound_ends[:-1]]
                ends.append(sound_ends)
                position = int(sound_ends[-1])
                continue
            verdict = self.judge.judge(data, position, is_last=is_last)
            if verdict is None:
                break
            starts.append(np.array([position]))
            ends.append(np.array([verdict.end]))
            verdicts[position] = verdict
            position, self._is_open = verdict.end, verdict.is_open
            self._skips_line = not data.endswith(b"\n", 0, position)
        return _without_blanks(Rows(data, marks, np.concatenate(starts), np.concatenate(ends), verdicts)), position

    def _skip_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position) + 1
        self._skips_line = not end
        return end or len(data)


def _without_blanks(rows: Rows) -> Rows:
    """The rows without lines that hold nothing but blanks; each of these begins with a blank or ends at once."""
    first = np.frombuffer(rows.data, np.uint8)[rows.starts]
    candidates = np.flatnonzero((first == _LINE_FEED) | (first == _RETURN) | (first == _BLANK))
    is_blank = [not rows.data[rows.starts[row] : rows.ends[row]].strip(b" \r\n") for row in candidates.tolist()]
    blank = candidates[is_blank]
    return rows._replace(starts=np.delete(rows.starts, blank), ends=np.delete(rows.ends, blank)) if len(blank) else rows


def iter_rows(file: IO[bytes], scanner: Scanner, *, start: bytes) -> Iterator[Rows]:
    """All rows of the file, of which `start` has been read; blank lines are none.

    Holds two chunks, and of an unfinished row at most its greatest length.
    """
    data = original = b""
    judge = scanner.judge
    for lines, is_last in _iter_lines(file, start=start, dialect=judge.dialect, max_row_bytes=judge.max_row_bytes):
        formed, is_same = in_one_form(lines, judge.dialect), original is data
        data += formed
        original = data if is_same and formed is lines else original + lines
        rows, end = scanner.scan(data, is_last=is_last)
        yield rows._replace(original=original)
        is_same = original is data
        data = data[end:]
        original = data if is_same else original[end:]


def _iter_lines(file: IO[bytes], *, start: bytes, dialect: Dialect, max_row_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Whole lines, or a piece of a line that is too long; and whether they are the last."""
    pending, is_last = start, False
    line_end = b"\r" if dialect.ends_by_return else b"\n"
    while not is_last:
        chunk = file.read(CHUNK_BYTES)
        is_last = not chunk
        data = pending + chunk
        if is_last and data and not data.endswith(line_end):
            data += line_end
        end = len(data) if is_last else data.rfind(line_end) + 1
        if not end and len(data) > max_row_bytes + 1:
            end = len(data.rstrip(b"\r" + (dialect.escape or b"") + (dialect.quote or b"")))
        pending = data[end:]
        yield data[:end], is_last
