"""Pages of a Parquet column chunk: where each lies, and whether it is as it was written.

A page is a header (a Thrift struct, of no checksum) and a body (whose checksum the header may hold). Arrow reads a page
without a checksum in silence, skips pages of a kind that it does not know, and takes a damaged header for what it says;
so headers are checked here against what the footer says of the whole column.
"""

import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from contract.thrift import Fields, read_struct

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_BY_DICTIONARY: Final = (2, 8)  # of the format's encodings: PLAIN_DICTIONARY, RLE_DICTIONARY


class PageError(ValueError):
    """What of a column chunk is not as it was written."""


@dataclass(frozen=True)
class Chunk:
    """A column of a row group, as the footer tells of it: required values, neither nested nor null."""

    start: int  # of its first page's header, in the file
    stop: int
    num_values: int
    uncompressed_bytes: int  # of all pages, with their headers
    encodings: Collection[int]  # by their numbers in the format


@dataclass(frozen=True)
class _Page:
    kind: int
    uncompressed_bytes: int  # without the header
    crc: int | None
    num_values: int
    encoding: int
    header_bytes: int
    body: memoryview


def check_chunk(data: memoryview, chunk: Chunk) -> None:
    """Raises PageError unless `data`, the bytes of the whole chunk, hold the pages that were written there."""
    num_values, uncompressed, encodings, num_dictionaries = 0, 0, list[int](), 0
    for number, page in enumerate(_pages(data)):
        if page.crc is None:
            raise PageError(f"page {number} has no checksum")
        if zlib.crc32(page.body) != page.crc & 0xFFFFFFFF:
            raise PageError(f"the checksum of page {number} is not that of its bytes")
        if page.encoding not in chunk.encodings:
            raise PageError(f"page {number} has encoding {page.encoding}, the column {sorted(chunk.encodings)}")
        uncompressed += page.header_bytes + page.uncompressed_bytes
        if page.kind == _DICTIONARY:
            num_dictionaries += 1
            if number:
                raise PageError(f"page {number} is a dictionary, which can only come first")
        else:
            num_values += page.num_values
            encodings.append(page.encoding)
    by_dictionary = [encoding in _BY_DICTIONARY for encoding in encodings]
    if (num_values, uncompressed) != (chunk.num_values, chunk.uncompressed_bytes):
        raise PageError(
            f"its pages hold {num_values} values in {uncompressed} bytes, expected {chunk.num_values} in"
            f" {chunk.uncompressed_bytes}"
        )
    if by_dictionary != sorted(by_dictionary, reverse=True) or any(by_dictionary[:1]) != bool(num_dictionaries):
        raise PageError(f"pages of encodings {encodings} after {num_dictionaries} dictionaries")


def _pages(data: memoryview) -> Iterator[_Page]:
    position = 0
    while position < len(data):
        fields, body = read_struct(data, position)
        kind, uncompressed, compressed = (_size(fields, number) for number in (1, 2, 3))
        if body + compressed > len(data):
            raise PageError("a page is longer than its column")
        about = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}.get(kind)
        if about is None or not isinstance(fields.get(about), dict):
            raise PageError(f"a page is of kind {kind}, which no shard has")
        details: Fields = fields[about]
        if kind == _DATA_V2 and (details.get(2), details.get(5), details.get(6)) != (0, 0, 0):
            raise PageError("a page holds nulls or lists, which no shard has")
        crc = fields.get(4)
        if not (crc is None or isinstance(crc, int)):
            raise PageError("the checksum of a page is no number")
        encoding = _size(details, 4 if kind == _DATA_V2 else 2)
        yield _Page(
            *(kind, uncompressed, crc, _size(details, 1), encoding),
            header_bytes=body - position,
            body=data[body : body + compressed],
        )
        position = body + compressed


def _size(fields: Fields, number: int) -> int:
    value = fields.get(number)
    if type(value) is not int or not 0 <= value < 2**31:
        raise PageError(f"field {number} of a page header is {value!r}, expected a size")
    return value
