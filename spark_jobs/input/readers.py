"""The readers of all formats: a part of a file becomes fields."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import IO, Final, Protocol

from contract.errors import UserError
from contract.manifest import Source
from spark_jobs.input.delimited.reader import read_delimited
from spark_jobs.input.documents.feed import read_feed
from spark_jobs.input.documents.first import MOST_RECORDS, first_records
from spark_jobs.input.documents.json_values import read_json_values
from spark_jobs.input.documents.look import format_of, peek
from spark_jobs.input.fields import Fields, Part, ReadOptions
from spark_jobs.input.formats import kind_of
from spark_jobs.input.opening import open_source
from spark_jobs.input.parquet import read_parquet
from spark_jobs.input.parse import read_json_lines
from spark_jobs.input.parts import MAX_RANGE_BYTES, can_seek
from spark_jobs.input.records.names import field_names_in

_LOOKS_AT_ONCE: Final = 16
_LINES_OF_A_TABLE: Final = 3


def read_part(source: Source, part: Part, *, options: ReadOptions) -> Iterator[Fields]:
    """The fields of what one task reads, some thousand lines or rows at a time.

    UserError with the file's name where it is damaged or has changed since it was listed.
    """
    if not source.bytes:
        return
    named = kind_of(source).format
    with open_source(source, encoding=options.encoding) as file:
        format = format_of(file, options.names) if named.is_document else named
        is_range = part.every is None and can_seek(source, options)
        if is_range and not (file.seekable() and format.can_seek):  # which only its first bytes show
            if part.start:
                return  # the first part is the whole file
            part = replace(part, end=None)
        yield from READERS[format.name](file, part, path=source.path, options=options)


def documents_among(sources: Sequence[Source], *, options: ReadOptions) -> list[Source]:
    """The files of several ranges that look like lines by their names, but whose first bytes show another format."""

    def is_other(source: Source) -> bool:
        with open_source(source, encoding=options.encoding) as file:
            return not (file.seekable() and format_of(file, options.names).can_seek)

    likely = [source for source in sources if source.bytes > MAX_RANGE_BYTES and can_seek(source, options)]
    likely = [source for source in likely if kind_of(source).format.is_document]
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:  # a store takes its time to answer
        return [source for source, other in zip(likely, pool.map(is_other, likely), strict=True) if other]


def field_names_of(source: Source, *, options: ReadOptions, most: int = MOST_RECORDS) -> list[str]:
    """The names of the fields in the first records of a file that is no table; none of a table, which names them."""
    if not kind_of(source).format.is_document:
        return []
    with open_source(source, encoding=options.encoding) as file:
        records = first_records(file, path=source.path, options=options, most=most)
        return list(dict.fromkeys(name for record in records for name in field_names_in(record)))


def delimiter_of(source: Source, *, options: ReadOptions) -> str:
    """What stands between the values of a text that looks like a table by its first lines; empty for any other text."""
    if not kind_of(source).format.is_document:
        return ""
    with open_source(source, encoding=options.encoding) as file:
        lines = [line for line in peek(file)[0].decode(errors="replace").splitlines()[:_LINES_OF_A_TABLE] if line]
    if len(lines) < _LINES_OF_A_TABLE - 1 or lines[0].startswith(("{", "[", "<")):
        return ""
    counts = {delimiter: {line.count(delimiter) for line in lines} for delimiter in "\t;|,"}
    return next((each for each, found in counts.items() if len(found) == 1 and found != {0}), "")


def problems_of(sources: Sequence[Source], *, options: ReadOptions) -> list[str]:
    """What is wrong with files that cannot be read from their start on."""

    def problem_of(source: Source) -> str | None:
        try:
            next(read_part(source, Part(0, 0, 1 if can_seek(source, options) else None), options=options), None)
        except UserError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        return [problem for problem in pool.map(problem_of, sources) if problem]


class Reader(Protocol):
    """Reads a part of a file that is opened at its start; messages name the file by `path`."""

    def __call__(self, file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]: ...


READERS: Final[dict[str, Reader]] = {
    "JSON lines": read_json_lines,
    "JSON": read_json_values,
    "XML": read_feed,
    "CSV": read_delimited,
    "Parquet": read_parquet,
}  # by format
