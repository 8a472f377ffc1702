"""The readers of all formats: a part of a file becomes fields."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import IO, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from contract.columns import RAW_PREFIX_BYTES
from contract.errors import UserError
from contract.manifest import Source
from contract.reasons import KEPT, REASON_CODE
from spark_jobs.input.documents.feed import read_feed
from spark_jobs.input.documents.json_values import read_json_values
from spark_jobs.input.documents.look import format_of
from spark_jobs.input.fields import FieldNames, Fields, Part, ReadOptions, is_utf8
from spark_jobs.input.formats import kind_of
from spark_jobs.input.opening import open_source
from spark_jobs.input.parse import read_json_lines
from spark_jobs.input.parts import can_seek

BATCH_ROWS: Final = 4_096
_CSV_BLOCK_BYTES: Final = 32 * 2**20  # holds the longest row that can be read
_HEADER_BYTES: Final = 2**20
_DELIMITERS: Final = (",", ";", "\t", "|")


def read_part(source: Source, part: Part, *, options: ReadOptions) -> Iterator[Fields]:
    """The fields of what one task reads, some thousand lines or rows at a time.

    UserError with the file's name where it is damaged or has changed since it was listed.
    """
    if not source.bytes:
        return
    named = kind_of(source).format
    with open_source(source, encoding=options.encoding) as file:
        format = named if named.name == "CSV" or named.magic else format_of(file)
        if can_seek(source, options) and not (file.seekable() and format.can_seek):  # only its first bytes show this
            if part.start:
                return  # the first part is the whole file
            part = replace(part, end=None)
        yield from READERS[format.name](file, part, path=source.path, options=options)


class Reader(Protocol):
    """Reads a part of a file that is opened at its start; messages name the file by `path`."""

    def __call__(self, file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]: ...


def read_parquet(file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]:
    """The rows of the row groups that begin in the bytes of this part; a row's offset is its number in the file."""
    names, max_line_bytes = options.names, options.max_line_bytes
    try:
        parquet = pq.ParquetFile(file)
        columns = _columns(names, parquet.schema_arrow.names, path=path)
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


def read_csv(file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]:
    """The rows of this part, by their numbers; the first row of the file must name the columns.

    Every task that shares a file parses all of it, which is cheap, and keeps its own blocks of rows. A row with more or
    fewer values than there are columns is not_a_record.
    """
    names, max_line_bytes = options.names, options.max_line_bytes
    reader = _CsvReader(file, names, path=path)
    first_row = 0
    for batch in reader.batches():
        for start in range(0, batch.num_rows, BATCH_ROWS):
            some = batch.slice(start, BATCH_ROWS)
            rows = first_row + start + np.arange(some.num_rows)
            chosen = some.filter(pa.array(_is_in(rows, part)))
            if chosen.num_rows:
                fields = _fields_of_batch(chosen, names, first_row=0, path=path, max_line_bytes=max_line_bytes)
                yield fields._replace(offsets=rows[_is_in(rows, part)])
        first_row += batch.num_rows
    yield from _fields_of_bad_rows(reader.bad_rows, part, first_row=first_row)


class _CsvReader:
    """The batches of a CSV file as binary columns, and the rows with a wrong number of values."""

    def __init__(self, file: IO[bytes], names: FieldNames, *, path: str) -> None:
        self.bad_rows: list[bytes] = []
        self._path = path
        start = file.read(_HEADER_BYTES)
        header = start.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode(errors="replace")
        self._delimiter = max(
            _DELIMITERS, key=lambda delimiter: (_num_named(header, delimiter, names), header.count(delimiter))
        )
        found = _split_header(header, self._delimiter)
        self._columns = _columns(names, found, path=path)
        self._file = pa.PythonFile(_Joined(start, file), mode="r")

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from pcsv.open_csv(
                self._file,
                read_options=pcsv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
                parse_options=pcsv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=self._note_bad_row
                ),
                convert_options=pcsv.ConvertOptions(
                    check_utf8=False,
                    include_columns=self._columns,
                    column_types=dict.fromkeys(self._columns, pa.binary()),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowException as error:
            raise UserError(f"{self._path} cannot be read as CSV: {error}") from error

    def _note_bad_row(self, row: pcsv.InvalidRow) -> str:
        self.bad_rows.append(row.text.encode(errors="replace")[:RAW_PREFIX_BYTES])
        return "skip"


class _Joined:
    """The bytes that were read already, then the rest of the stream."""

    def __init__(self, start: bytes, file: IO[bytes]) -> None:
        self._start = start
        self._file = file
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
            return data
        return self._file.read(size)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def _columns(names: FieldNames, found: Sequence[str], *, path: str) -> list[str]:
    """The columns to read. UserError where title or content is missing; a missing id is made from the texts."""
    missing = [name for name in (names.title, names.content) if name not in found]
    if missing:
        raise UserError(
            f"{path} has no column {' and no column '.join(map(repr, missing))}; it has"
            f" {', '.join(map(repr, found))}: name the right ones by --title-field and --content-field"
        )
    return [name for name in names if name in found]


def _num_named(header: str, delimiter: str, names: FieldNames) -> int:
    return len(set(names) & set(_split_header(header, delimiter)))


def _split_header(header: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"') for name in header.rstrip("\r").split(delimiter)]


def _is_in(rows: np.ndarray, part: Part) -> np.ndarray:
    """Which of these row numbers belong to the part."""
    if part.end is None or part.every is None:
        return np.ones(len(rows), bool)
    return (rows - part.start) % part.every < part.end - part.start


def _fields_of_batch(
    batch: pa.RecordBatch, names: FieldNames, *, first_row: int, path: str, max_line_bytes: int
) -> Fields:
    texts, is_bad = zip(*(_texts(batch, name, path=path) for name in names), strict=True)
    reasons = np.full(batch.num_rows, KEPT, np.int8)
    reasons[np.logical_or.reduce(is_bad)] = REASON_CODE["not_utf8"]
    sizes = sum(pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False) for column in texts)
    reasons[sizes > max_line_bytes] = REASON_CODE["too_long"]
    is_read = pa.array(reasons == KEPT)
    raws = pc.binary_slice(pc.fill_null(texts[1], b""), 0, RAW_PREFIX_BYTES)
    uids, titles, contents = (
        pc.if_else(is_read, column, pa.scalar(None, pa.binary())).view(pa.string()) for column in texts
    )
    return Fields(
        uids=uids,
        titles=pc.fill_null(titles, ""),
        contents=pc.fill_null(contents, ""),
        reasons=reasons,
        offsets=first_row + np.arange(batch.num_rows),
        raws=pc.if_else(is_read, pa.scalar(None, pa.binary()), raws),
    )


def _texts(batch: pa.RecordBatch, name: str, *, path: str) -> tuple[pa.BinaryArray, np.ndarray]:
    """A column as bytes, and which of its values are not UTF-8. UserError where it holds no texts."""
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.binary()), np.zeros(batch.num_rows, bool)
    column = batch[name]
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    try:
        column = column.cast(pa.binary())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: column {name!r} holds {column.type}, expected texts") from error
    try:
        column.cast(pa.string())  # checks every value
    except pa.ArrowInvalid:
        return column, np.array([value is not None and not is_utf8(value) for value in column.to_pylist()])
    return column, np.zeros(len(column), bool)


def _fields_of_bad_rows(rows: list[bytes], part: Part, *, first_row: int) -> Iterator[Fields]:
    """Rows with a wrong number of values, numbered after all others: Arrow does not report their numbers."""
    chosen = np.flatnonzero(_is_in(first_row + np.arange(len(rows)), part))
    for start in range(0, len(chosen), BATCH_ROWS):
        some = chosen[start : start + BATCH_ROWS]
        nothing = pa.array([""] * len(some), pa.string())
        yield Fields(
            uids=nothing,
            titles=nothing,
            contents=nothing,
            reasons=np.full(len(some), REASON_CODE["not_a_record"], np.int8),
            offsets=first_row + some,
            raws=pa.array([rows[position] for position in some], pa.binary()),
        )


READERS: Final[dict[str, Reader]] = {
    "JSON lines": read_json_lines,
    "JSON": read_json_values,
    "XML": read_feed,
    "CSV": read_csv,
    "Parquet": read_parquet,
}  # by format
