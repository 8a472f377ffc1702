"""Finds the ends of sound rows by numpy.

Where nothing is wrong, a line feed ends a row if the number of quotation marks before it is even. That holds as long as
each mark that opens a value stands behind a delimiter or a line end, and each mark that closes one stands before a
delimiter or a line end; of a doubled mark, the first closes and the second opens.
"""

from functools import cached_property
from typing import Final

import numpy as np

from spark_jobs.input.delimited.dialect import Dialect
from spark_jobs.input.delimited.shape import Shape

_WINDOW_LINES: Final = 4_096  # looked at together, so that a fault costs no look at the whole chunk
_LINE_FEED: Final = ord("\n")
_RETURN: Final = ord("\r")
_NONE: Final = np.zeros(0, np.int64)


class Marks:
    """Where the line feeds, quotation marks and delimiters of a run of bytes are."""

    def __init__(self, data: bytes, dialect: Dialect) -> None:
        self._bytes = np.frombuffer(data, np.uint8)
        self._delimiter = ord(dialect.delimiter)
        self._line_feeds = np.flatnonzero(self._bytes == _LINE_FEED)
        has_quotes = dialect.quote is not None and dialect.quote in data
        self._quotes = np.flatnonzero(self._bytes == ord(dialect.quote)) if dialect.quote and has_quotes else _NONE
        self._wrong = self._wrong_quotes() if has_quotes else (_NONE, _NONE)

    def _wrong_quotes(self) -> tuple[np.ndarray, np.ndarray]:
        """The marks that neither open nor close a value where they stand, if the first one opens; and if it closes."""
        data, quotes = self._bytes, self._quotes
        before = np.where(quotes > 0, data[quotes - 1], _LINE_FEED)
        after, second = (data[np.minimum(quotes + ahead, len(data) - 1)] for ahead in (1, 2))
        is_doubled = np.diff(quotes) == 1
        can_open = (before == self._delimiter) | (before == _LINE_FEED)
        can_open[1:] |= is_doubled
        can_close = (after == self._delimiter) | (after == _LINE_FEED) | ((after == _RETURN) & (second == _LINE_FEED))
        can_close[:-1] |= is_doubled
        is_odd = np.arange(len(quotes)) % 2 == 1
        if_it_opens, if_it_closes = (
            np.flatnonzero(~np.where(is_odd == opens, can_close, can_open)) for opens in (True, False)
        )
        return if_it_opens, if_it_closes

    def sound_ends(self, position: int, *, shape: Shape, max_row_bytes: int) -> np.ndarray:
        """Where the rows from here on end, up to the first that has to be judged; there may be more behind the last."""
        first = int(np.searchsorted(self._quotes, position))
        wrong = self._wrong[first % 2]
        next_wrong = int(np.searchsorted(wrong, first))
        stop = self._quotes[wrong[next_wrong]] if next_wrong < len(wrong) else len(self._bytes)
        begin, end = np.searchsorted(self._line_feeds, (position, stop)).tolist()
        if not len(self._quotes):
            return self._line_feeds[begin:end] + 1
        lines = self._line_feeds[begin : min(end, begin + _WINDOW_LINES)]
        is_end = (np.searchsorted(self._quotes, lines) - first) % 2 == 0
        ends = lines[is_end] + 1
        has_several = np.diff(np.flatnonzero(is_end), prepend=-1) > 1
        if not has_several.any():
            return ends
        starts = np.concatenate([[position], ends[:-1]])[has_several]
        is_suspect = self._is_suspect(starts, ends[has_several], first=first, shape=shape, max_row_bytes=max_row_bytes)
        return ends[: np.flatnonzero(has_several)[is_suspect][0]] if is_suspect.any() else ends

    def _is_suspect(
        self, starts: np.ndarray, ends: np.ndarray, *, first: int, shape: Shape, max_row_bytes: int
    ) -> np.ndarray:
        """Which of these rows of several lines are too long, do not fit the columns, or may be several rows."""
        delimiters = self._delimiters_in(starts, ends)
        outside = delimiters[(np.searchsorted(self._quotes, delimiters) - first) % 2 == 0]
        is_suspect = (ends - starts - 1 > max_row_bytes) | (_count(outside, starts, ends) != shape.num_columns - 1)
        if shape.codes:
            ends_of_first = self._line_feeds[np.searchsorted(self._line_feeds, starts)]
            starts_of_last = self._line_feeds[np.searchsorted(self._line_feeds, ends - 1) - 1] + 1
            is_suspect |= (_count(delimiters, starts, ends_of_first) == shape.num_columns - 1) & (
                _count(delimiters, starts_of_last, ends) == shape.num_columns - 1
            )
        return is_suspect

    def _delimiters_in(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The delimiters in these rows only."""
        begins, counts = np.searchsorted(self.delimiters, starts), _count(self.delimiters, starts, ends)
        firsts = np.cumsum(counts) - counts  # where those of each row begin in the answer
        return self.delimiters[np.repeat(begins - firsts, counts) + np.arange(counts.sum())]

    @cached_property
    def delimiters(self) -> np.ndarray:
        """Where there is a delimiter, within a quoted value or not."""
        return np.flatnonzero(self._bytes == self._delimiter)

    def num_values(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The number of values in each of these rows, which are in order; of rows that are not sound, any number."""
        begin, end = np.searchsorted(self.delimiters, (starts[0], ends[-1]))
        delimiters = self.delimiters[begin:end]
        if len(self._quotes):
            rows = np.searchsorted(starts, delimiters, side="right") - 1
            num_before = np.searchsorted(self._quotes, delimiters) - np.searchsorted(self._quotes, starts)[rows]
            delimiters = delimiters[num_before % 2 == 0]
        return 1 + _count(delimiters, starts, ends)


def _count(positions: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How many of the positions lie from each start to before its end."""
    return np.searchsorted(positions, ends) - np.searchsorted(positions, starts)
