"""Reads the rows of Parquet files, whose columns may be of any type."""

from collections.abc import Iterator, Sequence
from typing import IO, Any, Final
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contract.errors import UserError
from spark_jobs.input.fields import (
    FieldNames,
    Fields,
    Part,
    ReadOptions,
    fields_of_texts,
    is_utf8,
    joined,
    require_columns,
)
from spark_jobs.input.records.values import fields_in

BATCH_ROWS: Final = 4_096


def read_parquet(file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]:
    """The rows of the row groups that begin in the bytes of this part; a row's offset is its number in the file."""
    try:
        parquet = pq.ParquetFile(file)
        columns = _columns_to_read(options.names, parquet.schema_arrow, path=path)
        first_row = 0
        for group in range(parquet.num_row_groups):
            metadata = parquet.metadata.row_group(group)
            column = metadata.column(0)
            offset = column.dictionary_page_offset or column.data_page_offset
            if part.start <= offset and (part.end is None or offset < part.end):
                row = first_row
                for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                    yield _fields_of_batch(batch, options, first_row=row, path=path)
                    row += batch.num_rows
            first_row += metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not a whole Parquet file: {error}; fetch or write it again") from error


def _columns_to_read(names: FieldNames, schema: pa.Schema, *, path: str) -> list[str]:
    """The columns that hold these fields. UserError where there is no title or no content, with the names there are."""
    batch = schema.empty_table()
    wanted = [field for name in names for field in _fields_of(name, schema.names)]
    columns: dict[str, Any] = {field: _find(batch, field) for field in wanted}  # arrays of any type
    own = {column.name for column in schema if _names_in(column) == [column.name]}
    named = ((each, column.name) for column in schema for each in _names_in(column))
    found = [each for each, column in named if each == column or each not in own]
    there = [field for field, column in columns.items() if column is not None]
    texts = [field for field in there if field not in found and not pa.types.is_struct(columns[field].type)]
    require_columns(names, found + texts, path=path)
    return [column for column in schema.names if any(_is_of(field, column) for field in there)]


def _fields_of(name: str, columns: Sequence[str]) -> list[str]:
    return [name] if name in columns else fields_in(name)


def _is_of(field: str, column: str) -> bool:
    return field == column or field.startswith(f"{column}.")


def _names_in(field: pa.Field, above: str = "") -> list[str]:
    """The names by which the values of a column can be asked for, with dots for those below others."""
    kind, name = field.type, f"{above}{field.name}"
    while _is_list(kind):
        kind = kind.value_type
    if not pa.types.is_struct(kind):
        return [name]
    return [each for inner in kind for each in _names_in(inner, f"{name}.")]


def _fields_of_batch(batch: pa.RecordBatch, options: ReadOptions, *, first_row: int, path: str) -> Fields:
    titles, contents = (_texts(batch, name, path=path) for name in options.names[1:])
    uids, num_unusable = _ids(batch, options.names.uid)
    offsets = first_row + np.arange(batch.num_rows)
    fields = fields_of_texts(uids, titles, contents, offsets=offsets, max_bytes=options.max_line_bytes)
    return fields._replace(notes={**fields.notes, "unusable_id": num_unusable} if num_unusable else fields.notes)


def _texts(batch: pa.RecordBatch, name: str, *, path: str) -> pa.BinaryArray:
    """The texts that a setting names, as bytes. UserError where a column holds no texts."""
    texts = []
    for field in _fields_of(name, batch.schema.names):
        column = _find(batch, field)
        if column is not None:
            try:
                texts.append(_bytes_of(column))
            except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
                raise UserError(f"{path}: column {field!r} holds {column.type}, expected texts") from error
    return joined(texts)


def _ids(batch: pa.RecordBatch, name: str) -> tuple[pa.BinaryArray, int]:
    """The ids as bytes, null where there is none; and the number of values that can be none."""
    found = (_find(batch, field) for field in _fields_of(name, batch.schema.names))
    columns: list[Any] = [column for column in found if column is not None]  # arrays of any type
    if not columns:
        return pa.nulls(batch.num_rows, pa.binary()), 0
    texts = [_id_bytes(column) for column in columns]
    num_unusable = sum(text.null_count - column.null_count for text, column in zip(texts, columns, strict=True))
    return joined(texts), num_unusable


def _id_bytes(column: pa.Array) -> pa.BinaryArray:
    """Any scalar as bytes; null for a list, an object, and bytes that are not UTF-8."""
    try:
        text = _scalars_as_bytes(column)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.nulls(len(column), pa.binary())
    try:
        text.cast(pa.string())  # checks every value
    except pa.ArrowInvalid:
        return pa.array([value if value is not None and is_utf8(value) else None for value in text.to_pylist()])
    return text


def _bytes_of(column: pa.Array) -> pa.BinaryArray:
    """Texts, numbers, and lists of them as bytes. ArrowInvalid for other types."""
    if _is_list(column.type):
        texts = pc.fill_null(_bytes_of(pc.list_flatten(column)), b"")
        return pc.binary_join(_in_lists(texts, column), b" ")
    if pa.types.is_boolean(column.type) or pa.types.is_temporal(column.type):
        raise pa.ArrowInvalid("no texts")
    return _scalars_as_bytes(column)


def _scalars_as_bytes(column: pa.Array) -> pa.BinaryArray:
    """Each value as it would be printed. ArrowInvalid or ArrowNotImplementedError for lists and objects."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _scalars_as_bytes(column.dictionary_decode())
    if isinstance(kind, pa.UuidType):
        storage = column.storage.to_pylist()
        return pa.array([None if value is None else str(UUID(bytes=value)).encode() for value in storage], pa.binary())
    if isinstance(kind, pa.BaseExtensionType):
        return _scalars_as_bytes(column.storage)
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return (column if is_bytes else column.cast(pa.string())).cast(pa.binary())


def _find(batch: pa.RecordBatch | pa.Table, field: str) -> pa.Array | None:
    """The column of this name, or the values of a field below one: a column's own name may hold dots."""
    if field in batch.schema.names:
        column = batch[field]
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    for dot in (place for place, sign in enumerate(field) if sign == "."):
        if field[:dot] in batch.schema.names:
            found = _below(_find(batch, field[:dot]), field[dot + 1 :])
            if found is not None:
                return found
    return None


def _below(column: pa.Array, field: str) -> pa.Array | None:
    """The values of a field of objects, of an entry of maps, or of the objects in lists; None where there is none."""
    if _is_list(column.type):
        found = _below(pc.list_flatten(column), field)
        return None if found is None else _in_lists(found, column)
    if pa.types.is_map(column.type):
        return pc.map_lookup(column, pa.scalar(field, column.type.key_type), "first")
    if not pa.types.is_struct(column.type):
        return None
    return _find(pa.RecordBatch.from_struct_array(column), field)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _in_lists(values: pa.Array, column: pa.Array) -> pa.ListArray:
    """Values of a flattened column, in lists as long as those of the column."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(lengths)), pa.int32()), values)
