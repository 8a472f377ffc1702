"""One shard: its record in the manifest, and its parts.

A shard is a Parquet file. Its parts follow each other from the first byte to the last: row groups, then the footer. The
manifest holds the digest of each part, so a reader checks every byte that it uses and need not read the whole file.
Arrow gets bytes only after their digest was found right: pyarrow (26.0) ends the process at some damaged footers.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from contract.columns import KEY, REASON, ROW_GROUP_ROWS, SHARD_SCHEMA, SOURCE
from contract.names import shard_path

# What Arrow and this module raise for a file that is no shard.
NOT_A_SHARD: Final = (pa.ArrowException, OSError, ValueError)
_DIGEST_CHARACTERS: Final = 32  # 128 bits: chance lets no damage pass

Count = Annotated[int, msgspec.Meta(ge=0)]


class FilePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Consecutive bytes of a shard."""

    offset: Count
    length: Count
    digest: str

    @property
    def stop(self) -> int:
        """Offset of the first byte after the part."""
        return self.offset + self.length

    def has_digest_of(self, data: bytes) -> bool:
        """Whether these are the bytes that were written."""
        return digest_of(data) == self.digest


class Shard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One Parquet file. Its path is relative to the manifest's folder and holds the start of its sha256."""

    path: str
    rows: Count
    bytes: Count
    sha256: str
    footer: FilePart
    row_groups: tuple[FilePart, ...]

    @property
    def parts(self) -> tuple[FilePart, ...]:
        """All parts in the order of the file."""
        return (*self.row_groups, self.footer)

    def is_covered(self) -> bool:
        """Whether the parts follow each other without a gap from the first byte to the last."""
        ends = [0, *(part.stop for part in self.parts)]
        return [part.offset for part in self.parts] == ends[:-1] and ends[-1] == self.bytes


def digest_of(data: bytes) -> str:
    """The start of the sha256 of a part; about a millisecond for a megabyte."""
    return hashlib.sha256(data).hexdigest()[:_DIGEST_CHARACTERS]


def open_writer(sink: io.BytesIO, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of the one form that shards have; each table from `row_groups_of` becomes a row group."""
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=[REASON, SOURCE],
        write_statistics=[KEY],
        write_page_checksum=True,
        store_schema=False,
    )


def row_groups_of(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of ROW_GROUP_ROWS rows in one chunk each: pages end where chunks end, and must not depend on batches."""
    held: list[pa.RecordBatch] = []
    num_held = 0
    for batch in batches:
        batch = batch.select(schema.names)
        while num_held + batch.num_rows >= ROW_GROUP_ROWS:
            taken = ROW_GROUP_ROWS - num_held
            yield pa.Table.from_batches([*held, batch.slice(0, taken)], schema).combine_chunks()
            held, num_held, batch = [], 0, batch.slice(taken)
        if batch.num_rows:
            held.append(batch)
            num_held += batch.num_rows
    if held:
        yield pa.Table.from_batches(held, schema).combine_chunks()


def shard_of(data: bytes, *, section: str, number: int, rows: int) -> Shard:
    """The record of a shard that was just written: `data` is the whole file."""
    sha256 = hashlib.sha256(data).hexdigest()
    *row_groups, footer = parts_of(io.BytesIO(data))
    path = shard_path(section, number=number, sha256=sha256)
    return Shard(path, rows, len(data), sha256, footer, tuple(row_groups))


def parts_of(file: io.BufferedIOBase) -> tuple[FilePart, ...]:
    """All parts of a Parquet file whose bytes are known to be sound. One part at a time is held in memory."""
    metadata = pq.ParquetFile(file).metadata
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    bounds = [0, *map(_end_of, groups), file.seek(0, os.SEEK_END)]
    return tuple(_part(file, start, stop) for start, stop in pairwise(bounds))


def _end_of(group: pq.RowGroupMetaData) -> int:
    columns = map(group.column, range(group.num_columns))
    return max((each.dictionary_page_offset or each.data_page_offset) + each.total_compressed_size for each in columns)


def _part(file: io.BufferedIOBase, start: int, stop: int) -> FilePart:
    file.seek(start)
    return FilePart(start, stop - start, digest_of(file.read(stop - start)))


@dataclass(frozen=True)
class RowGroup:
    """One row group of a shard."""

    number: int
    first: int  # number of its first row, counted from the shard's start
    rows: int
    part: FilePart

    @property
    def stop(self) -> int:
        """Number of the first row after the row group."""
        return self.first + self.rows


@dataclass(frozen=True)
class Footer:
    """What is needed to read the row groups of a shard."""

    metadata: pq.FileMetaData
    row_groups: tuple[RowGroup, ...]
    file_bytes: int


def read_footer(data: bytes, shard: Shard) -> Footer:
    """The footer in the bytes of `shard.footer`, whose digest was checked; one of NOT_A_SHARD where it is another's."""
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    if not metadata.schema.to_arrow_schema().equals(SHARD_SCHEMA):
        raise ValueError(f"columns {metadata.schema.names}, expected {SHARD_SCHEMA.names}")
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if len(rows) != len(shard.row_groups) or sum(rows) != shard.rows:
        raise ValueError(
            f"{sum(rows)} rows in {len(rows)} row groups, expected {shard.rows} in {len(shard.row_groups)}"
        )
    row_groups = tuple(
        RowGroup(number, sum(rows[:number]), rows[number], part) for number, part in enumerate(shard.row_groups)
    )
    return Footer(metadata, row_groups, shard.bytes)


def read_row_group(data: bytes, footer: Footer, row_group: RowGroup, *, columns: Sequence[str]) -> pa.Table:
    """Columns of a row group, from the bytes of its part, whose digest was checked; raises as `read_footer`."""
    window = pa.PythonFile(_Window(data, start=row_group.part.offset, size=footer.file_bytes), mode="r")
    file = pq.ParquetFile(window, metadata=footer.metadata)
    table = file.read_row_groups([row_group.number], columns=list(columns), use_threads=False)
    table.validate(full=True)  # that texts are UTF-8
    return table


class _Window:
    """A file object that holds one part of a shard; Arrow reads no other part."""

    closed = False

    def __init__(self, data: bytes, *, start: int, size: int) -> None:
        self._data = pa.py_buffer(data)
        self._start = start
        self._size = size
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        self._position = offset if whence == os.SEEK_SET else self._size + offset
        return self._position

    def tell(self) -> int:
        """As of any file."""
        return self._position

    def read(self, size: int) -> bytes:
        """As of any file; OSError outside the part."""
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
