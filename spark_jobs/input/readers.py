"""The readers of all formats: a part of a file becomes fields."""

from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contract.errors import UserError
from contract.manifest import Source
from spark_jobs.input.delimited.reader import read_delimited
from spark_jobs.input.documents.feed import read_feed
from spark_jobs.input.documents.first import first_records
from spark_jobs.input.documents.json_values import read_json_values
from spark_jobs.input.documents.look import format_of
from spark_jobs.input.fields import (
    FieldNames,
    Fields,
    Part,
    ReadOptions,
    columns_of,
    fields_of_texts,
    joined,
    require_columns,
)
from spark_jobs.input.formats import kind_of
from spark_jobs.input.opening import open_source
from spark_jobs.input.parse import read_json_lines
from spark_jobs.input.parts import can_seek
from spark_jobs.input.records.names import field_names_in

BATCH_ROWS: Final = 4_096


def read_part(source: Source, part: Part, *, options: ReadOptions) -> Iterator[Fields]:
    """The fields of what one task reads, some thousand lines or rows at a time.

    UserError with the file's name where it is damaged or has changed since it was listed.
    """
    if not source.bytes:
        return
    named = kind_of(source).format
    with open_source(source, encoding=options.encoding) as file:
        format = format_of(file) if named.is_document else named
        if can_seek(source, options) and not (file.seekable() and format.can_seek):  # only its first bytes show this
            if part.start:
                return  # the first part is the whole file
            part = replace(part, end=None)
        yield from READERS[format.name](file, part, path=source.path, options=options)


def field_names_of(source: Source, *, options: ReadOptions) -> list[str]:
    """The names of the fields in the first records of a file that is no table; none of a table, which names them."""
    if not kind_of(source).format.is_document:
        return []
    with open_source(source, encoding=options.encoding) as file:
        records = first_records(file, path=source.path, options=options)
        return list(dict.fromkeys(name for record in records for name in field_names_in(record)))


class Reader(Protocol):
    """Reads a part of a file that is opened at its start; messages name the file by `path`."""

    def __call__(self, file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]: ...


def read_parquet(file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]:
    """The rows of the row groups that begin in the bytes of this part; a row's offset is its number in the file."""
    names, max_line_bytes = options.names, options.max_line_bytes
    try:
        parquet = pq.ParquetFile(file)
        found = parquet.schema_arrow.names
        require_columns(names, found, path=path)
        columns = sorted({found[column] for name in names for column in columns_of(name, found)})
        first_row = 0
        for group in range(parquet.num_row_groups):
            metadata = parquet.metadata.row_group(group)
            column = metadata.column(0)
            offset = column.dictionary_page_offset or column.data_page_offset
            if part.start <= offset and (part.end is None or offset < part.end):
                row = first_row
                for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                    yield _fields_of_batch(batch, names, first_row=row, path=path, max_line_bytes=max_line_bytes)
                    row += batch.num_rows
            first_row += metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not a whole Parquet file: {error}; fetch or write it again") from error


def _fields_of_batch(
    batch: pa.RecordBatch, names: FieldNames, *, first_row: int, path: str, max_line_bytes: int
) -> Fields:
    uids, titles, contents = (_texts(batch, name, path=path) for name in names)
    offsets = first_row + np.arange(batch.num_rows)
    return fields_of_texts(uids, titles, contents, offsets=offsets, max_bytes=max_line_bytes)


def _texts(batch: pa.RecordBatch, name: str, *, path: str) -> pa.BinaryArray:
    """The texts that a setting names, as bytes; null where there is no such column."""
    columns = columns_of(name, batch.schema.names)
    if not columns:
        return pa.nulls(batch.num_rows, pa.binary())
    return joined([_bytes_of(batch[column], batch.schema.names[column], path=path) for column in columns])


def _bytes_of(column: pa.Array, name: str, *, path: str) -> pa.BinaryArray:
    """UserError where the column holds no texts."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    try:
        return column.cast(pa.binary())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: column {name!r} holds {column.type}, expected texts") from error


READERS: Final[dict[str, Reader]] = {
    "JSON lines": read_json_lines,
    "JSON": read_json_values,
    "XML": read_feed,
    "CSV": read_delimited,
    "Parquet": read_parquet,
}  # by format
