"""Finds the elements of JSON lists by their brackets, without parsing them."""

import re
from typing import Final

import numpy as np

from contract.errors import UserError
from spark_jobs.input.documents.place import Place

_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")
_IS_SIGN: Final = np.isin(np.arange(256), np.frombuffer(b'"\\{}[]', np.uint8))
_IS_OPENING: Final = np.isin(np.arange(256), np.frombuffer(b"{[", np.uint8))
_LOOK_BACK_BYTES: Final = 1_000  # before a list, in which its key stands
_KEY: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*\Z', re.DOTALL)


class ElementScanner:
    """Where elements begin and end in a text that comes in chunks. About 3 ns a byte."""

    def __init__(self, place: Place, *, path: str) -> None:
        self._place = place
        self._path = path
        self._position = 0  # of the first byte that is not scanned yet
        self._depth = 0
        self._is_in_string = False
        self._is_in_list = False  # of records, or in a list within one
        self._held = b""  # a backslash at the end of a chunk waits for what it escapes
        self._before = b""  # the last bytes that were scanned

    def scan(self, chunk: bytes) -> tuple[np.ndarray, np.ndarray]:
        """The positions in the text where elements begin, and those after their last bytes.

        UserError where a bracket closes that was not opened.
        """
        data = self._held + chunk
        stop = len(data.rstrip(b"\\"))
        data, self._held = data[:stop], data[stop:]
        places, signs = self._brackets(data)
        is_opening = _IS_OPENING[signs]
        after = self._depth + np.cumsum(np.where(is_opening, 1, -1))
        before = np.where(is_opening, after - 1, after + 1)
        if len(after) and after.min() < 0:
            position = self._position + int(places[after.argmin()])
            raise UserError(
                f"{self._path} is no whole JSON: the bracket at byte {position} closes none; export it again"
            )

        depth = self._place.depth
        begins_list = is_opening & (before == depth)
        is_list = np.zeros(len(places), bool)
        for index in np.flatnonzero(begins_list & (signs == ord("{" if self._place.is_keyed else "["))).tolist():
            is_list[index] = self._has_records(data, int(places[index]))
        is_in_list = self._carry(begins_list, is_list)
        is_start = is_opening & (before == depth + 1) & is_in_list
        is_end = ~is_opening & (after == depth + 1) & is_in_list
        if self._place.is_top:
            is_start |= begins_list & ~is_list
            is_end |= ~is_opening & (after == 0) & ~is_in_list
        starts, ends = self._position + places[is_start], self._position + places[is_end] + 1

        self._depth = int(after[-1]) if len(after) else self._depth
        self._is_in_list = bool(is_in_list[-1]) if len(is_in_list) else self._is_in_list
        self._position += len(data)
        self._before = (self._before + data[-_LOOK_BACK_BYTES:])[-_LOOK_BACK_BYTES:]
        return starts, ends

    def require_end(self, unfinished: int | None) -> None:
        """UserError unless all brackets are closed and all strings have ended. `unfinished`: where an element began."""
        if self._depth or self._is_in_string or self._held:
            since = "" if unfinished is None else f" that begins at byte {unfinished}"
            raise UserError(
                f"{self._path} is no whole JSON: it ends after {self._position} bytes in the middle of a value{since};"
                " fetch or export it again"
            )

    def _brackets(self, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        """The places of all brackets outside strings, and the brackets; notes whether `data` ends in a string."""
        codes = np.frombuffer(data, np.uint8)
        places = np.flatnonzero(_IS_SIGN[codes])
        signs = codes[places]
        is_quote = signs == _QUOTE
        if b"\\" in data:
            is_quote &= ~_is_escaped(places, signs)
        num_quotes = np.cumsum(is_quote) + self._is_in_string
        self._is_in_string = bool(num_quotes[-1] % 2) if len(num_quotes) else self._is_in_string
        is_bracket = (num_quotes % 2 == 0) & (signs != _QUOTE) & (signs != _BACKSLASH)
        return places[is_bracket], signs[is_bracket]

    def _has_records(self, data: bytes, place: int) -> bool:
        """Whether the list, or the object of one record a key, that begins here is one of those with the records."""
        if self._place.is_top or (self._place.is_keyed and self._place.key is None):
            return True
        before = data[max(place - _LOOK_BACK_BYTES, 0) : place]
        if place < _LOOK_BACK_BYTES:
            before = self._before + before
        found = _KEY.search(before)
        if found is None:
            return False
        return found[1] == self._place.key if self._place.is_keyed else found[1] not in self._place.passed_over

    def _carry(self, is_set: np.ndarray, values: np.ndarray) -> np.ndarray:
        """At each bracket the value of the last one that is set; before any, that of the last chunk."""
        last = np.maximum.accumulate(np.where(is_set, np.arange(len(is_set)), -1))
        return np.where(last >= 0, values[last], self._is_in_list)


def _is_escaped(places: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Whether each sign follows an odd number of backslashes."""
    is_backslash, index = signs == _BACKSLASH, np.arange(len(signs))
    is_first = np.ones(len(signs), bool)  # of a run of neighbours
    is_first[1:] = ~(is_backslash[:-1] & (places[1:] == places[:-1] + 1))
    num_before = index - np.maximum.accumulate(np.where(is_first, index, 0))
    return num_before % 2 == 1
