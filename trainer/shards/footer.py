"""Where the row groups of a shard lie: its footer, checked against the manifest and against itself.

The footer has no checksum. What of it decides on the data is told twice, though: columns follow each other without a
gap, row counts add up, and pages (`contract.pages`) fill their columns exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from contract.columns import CONTENT, SHARD_SCHEMA, TITLE
from contract.manifest import Shard
from contract.pages import Chunk, PageError, check_chunk
from contract.thrift import Fields, read_struct

_MAGIC: Final = b"PAR1"
_TAIL_BYTES: Final = 2**16  # read at first: the footers of most shards are shorter
_COLUMNS: Final = (TITLE, CONTENT)  # neighbours, so that one read has both

# Numbers of fields in the format's `FileMetaData`, `RowGroup`, `ColumnChunk`, `ColumnMetaData`.
_NUM_ROWS, _ROW_GROUPS = 3, 4
_GROUP_COLUMNS, _GROUP_ROWS = 1, 3
_META_DATA: Final = 3
_TYPE, _ENCODINGS, _PATH, _CODEC, _NUM_VALUES, _UNCOMPRESSED, _COMPRESSED, _DATA_OFFSET = 1, 2, 3, 4, 5, 6, 7, 9
_DICTIONARY_OFFSET: Final = 11
_BYTE_ARRAY: Final = 6  # of `Type`
_CODECS: Final = frozenset({0, 1, 2, 4, 6, 7})  # of `CompressionCodec`: none, Snappy, gzip, Brotli, Zstandard, raw LZ4

# What Arrow, and this module, raise for bytes that are no Parquet file.
BROKEN: Final = (pa.ArrowException, OSError, ValueError, OverflowError, LookupError, TypeError)


@dataclass(frozen=True)
class Group:
    """One row group: its rows, counted from the shard's start, and its columns."""

    number: int
    first: int
    rows: int
    chunks: tuple[Chunk, ...]  # of _COLUMNS

    @property
    def start(self) -> int:
        """Where the columns begin in the file."""
        return self.chunks[0].start

    @property
    def stop(self) -> int:
        """Where they end."""
        return self.chunks[-1].stop


@dataclass(frozen=True)
class Layout:
    """A shard's row groups, in order."""

    metadata: pq.FileMetaData
    groups: tuple[Group, ...]
    file_bytes: int


def read_layout(read: Callable[[int, int], bytes], shard: Shard) -> Layout:
    """The layout of a shard, by `read(start, stop)`; PageError or one of BROKEN where it is damaged."""
    tail_start = max(0, shard.bytes - _TAIL_BYTES)
    tail = read(tail_start, shard.bytes)
    if tail[-4:] != _MAGIC:
        raise PageError("no Parquet magic bytes at the end")
    footer_start = shard.bytes - 8 - int.from_bytes(tail[-8:-4], "little")
    if footer_start < len(_MAGIC):
        raise PageError("a footer longer than the file")
    if footer_start < tail_start:
        tail = read(footer_start, tail_start) + tail
    head = tail if not tail_start else read(0, len(_MAGIC))
    if head[: len(_MAGIC)] != _MAGIC:
        raise PageError("no Parquet magic bytes at the start")  # which Arrow does not look at, others do
    footer = memoryview(tail)[footer_start - shard.bytes :]
    groups = _groups(read_struct(footer)[0], shard, footer_start)
    metadata = pq.ParquetFile(pa.BufferReader(tail)).metadata
    if not metadata.schema.to_arrow_schema().equals(SHARD_SCHEMA):
        raise PageError(f"columns {metadata.schema.names}, expected {SHARD_SCHEMA.names}")
    return Layout(metadata, groups, shard.bytes)


def _groups(footer: Fields, shard: Shard, footer_start: int) -> tuple[Group, ...]:
    """The row groups that a footer tells of (`FileMetaData` of the format)."""
    position, first, groups, codecs = len(_MAGIC), 0, list[Group](), set[int]()
    for number, group in enumerate(footer[_ROW_GROUPS]):
        rows, chunks = group[_GROUP_ROWS], {}
        for name, of_chunk in zip(SHARD_SCHEMA.names, group[_GROUP_COLUMNS], strict=True):
            column = of_chunk[_META_DATA]
            if (column[_TYPE], column[_PATH], column[_NUM_VALUES]) != (_BYTE_ARRAY, [name.encode()], rows):
                raise PageError(f"row group {number} holds {column[_NUM_VALUES]} values of {column[_PATH]}")
            if position != (column.get(_DICTIONARY_OFFSET) or column[_DATA_OFFSET]):
                raise PageError(f"{name} of row group {number} does not begin where the column before it ends")
            start, position = position, position + column[_COMPRESSED]
            chunks[name] = Chunk(start, position, rows, column[_UNCOMPRESSED], column[_ENCODINGS])
            codecs.add(column[_CODEC])
        groups.append(Group(number, first, rows, tuple(chunks[name] for name in _COLUMNS)))
        first += rows
    if not codecs <= _CODECS or len(codecs) > 1:
        raise PageError(f"columns compressed by {sorted(codecs)}")
    if first != shard.rows or footer[_NUM_ROWS] != shard.rows:
        raise PageError(f"row groups of {first} rows in a file of {footer[_NUM_ROWS]}, the manifest says {shard.rows}")
    if position > footer_start:
        raise PageError(f"columns up to byte {position}, a footer from {footer_start} on")
    return tuple(groups)


def read_group(data: bytes, layout: Layout, group: Group) -> pa.Table:
    """Titles and contents of a row group, from its bytes; PageError or one of BROKEN where they are damaged."""
    view = memoryview(data)
    for chunk in group.chunks:
        check_chunk(view[chunk.start - group.start : chunk.stop - group.start], chunk)
    window = pa.PythonFile(_Window(data, start=group.start, size=layout.file_bytes), mode="r")
    file = pq.ParquetFile(window, metadata=layout.metadata)
    table = file.read_row_groups([group.number], columns=list(_COLUMNS), use_threads=False)
    if table.num_rows != group.rows or table.column_names != list(_COLUMNS):
        raise PageError(f"{table.num_rows} rows of {table.column_names}, expected {group.rows} of {_COLUMNS}")
    table.validate(full=True)  # that texts are UTF-8
    return table


class _Window:
    """A file of which only one part is there; Arrow asks for no other."""

    closed = False

    def __init__(self, data: bytes, *, start: int, size: int) -> None:
        self._data = pa.py_buffer(data)
        self._start = start
        self._size = size
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        self._position = offset if whence == 0 else self._size + offset
        return self._position

    def tell(self) -> int:
        """As of any file."""
        return self._position

    def read(self, size: int) -> bytes:
        """As of any file; OSError outside of the part."""
        data: bytes = self.read_buffer(size).to_pybytes()
        return data

    def read_buffer(self, size: int) -> pa.Buffer:
        """The same without a copy."""
        first = self._position - self._start
        if first < 0 or first + size > self._data.size:
            raise OSError(f"bytes {self._position} to {self._position + size} are not of this row group")
        self._position += size
        return self._data.slice(first, size)

    def close(self) -> None:
        """Nothing is held."""
