"""The records of a text of JSON values, each as a line is."""

import re
from collections.abc import Iterator
from typing import IO, Final

import numpy as np

from contract.columns import RAW_PREFIX_BYTES
from spark_jobs.input.documents.place import Place
from spark_jobs.input.documents.scanner import ElementScanner
from spark_jobs.input.lines import CHUNK_BYTES, Lines

_SCALAR: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[^\s,\[\]"]+', re.DOTALL)
_BETWEEN: Final = b", \t\r\n[]\xef\xbb\xbf"  # between elements that are objects or lists
_MOST_BETWEEN_BYTES: Final = 2**16  # held of what follows the last element

Span = tuple[int, int]  # positions in the text


def iter_elements(
    file: IO[bytes], place: Place, *, path: str, max_line_bytes: int, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Lines]:
    """The elements at this place, in order, those that end in one chunk of the file at a time.

    At the top, values that are neither objects nor lists are elements, too. Holds a chunk and at most `max_line_bytes`
    of an unfinished element. UserError where the text ends in the middle of a value.
    """
    scanner, has_scalars = ElementScanner(place, path=path), place.is_top
    data, first = b"", 0  # what is not read yet, and its position: an unfinished element, or what follows the last one
    is_open = is_skipping = False  # whether an element is unfinished; whether it is too long, and its bytes are dropped
    while chunk := file.read(chunk_bytes):
        data += chunk
        starts, ends = (positions.tolist() for positions in scanner.scan(chunk))
        if is_skipping and ends:
            end = ends.pop(0)
            data, first, is_open, is_skipping = data[end - first :], end, False, False
        if is_open and not is_skipping:
            starts.insert(0, first)
        spans = list(zip(starts, ends, strict=False))
        if has_scalars and not is_skipping:
            gaps = zip(ends if is_open else [first, *ends], starts[is_open:], strict=False)
            spans += [span for start, end in gaps for span in _scalars(data, start, end, first=first)]
        if spans:
            yield _lines(data, sorted(spans), first=first, max_line_bytes=max_line_bytes)
        is_open = is_skipping or len(starts) > len(ends)
        kept = first + len(data) if is_skipping else starts[-1] if is_open else ends[-1] if ends else first
        data, first = data[kept - first :], kept
        if is_open and len(data) > max(max_line_bytes, RAW_PREFIX_BYTES):
            yield Lines(data[:RAW_PREFIX_BYTES], np.array([0]), np.array([RAW_PREFIX_BYTES]), first, np.array([True]))
            data, first, is_skipping = b"", first + len(data), True
        if not is_open and (not has_scalars or len(data) > _MOST_BETWEEN_BYTES):
            spans = _scalars(data, first, first + len(data), first=first) if has_scalars else []
            if spans:
                yield _lines(data, spans, first=first, max_line_bytes=max_line_bytes)
            data, first = b"", first + len(data)
    scanner.require_end(first if is_open and not is_skipping else None)
    if spans := _scalars(data, first, first + len(data), first=first):
        yield _lines(data, spans, first=first, max_line_bytes=max_line_bytes)


def _lines(data: bytes, spans: list[Span], *, first: int, max_line_bytes: int) -> Lines:
    starts, ends = np.array(spans, np.int64).T - first
    return Lines(data, starts, ends, first, ends - starts > max_line_bytes)


def _scalars(data: bytes, start: int, end: int, *, first: int) -> list[Span]:
    """The values between two elements; `first` is the position of `data`."""
    between = data[start - first : end - first]
    if not between.strip(_BETWEEN):
        return []
    return [(start + match.start(), start + match.end()) for match in _SCALAR.finditer(between)]
