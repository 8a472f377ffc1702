"""The first records of a text as they are, to tell what fields they have."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import IO, Final

from contract.errors import UserError
from spark_jobs.input.documents.elements import iter_elements
from spark_jobs.input.documents.look import format_of, peek
from spark_jobs.input.documents.place import find_place
from spark_jobs.input.documents.xml_parser import RecordParser, encoding_to_force, find_records
from spark_jobs.input.fields import ReadOptions
from spark_jobs.input.lines import iter_lines
from spark_jobs.input.parse import parse_python_line

MOST_RECORDS: Final = 20


def first_records(
    file: IO[bytes], *, path: str, options: ReadOptions, most: int = MOST_RECORDS
) -> list[Mapping[str, object]]:
    """Some of the records in the first bytes of a text; none where they cannot be read."""
    name, start = format_of(file, options.names).name, peek(file)[0]
    found: list[Mapping[str, object]] = []
    with suppress(UserError):  # the file ends after these bytes, as far as is known here
        if name == "XML":
            encoding = encoding_to_force(start, asked=options.encoding)
            wanted = find_records(start, options.names, path=path, encoding=encoding)
            parser = RecordParser(wanted, path=path, encoding=encoding, max_record_bytes=options.max_line_bytes)
            found += [record.fields for record in parser.feed(start)[:most]]
        else:
            found.extend(islice(_objects(start, name, path=path, options=options), most))
    return found


def _objects(start: bytes, format: str, *, path: str, options: ReadOptions) -> Iterator[Mapping[str, object]]:
    file, most = io.BytesIO(start), options.max_line_bytes
    if format == "JSON":
        blocks = iter_elements(
            file, find_place(start, options.names), path=path, max_line_bytes=most, chunk_bytes=2**12
        )
    else:
        blocks = iter_lines(file, start=0, end=None, max_line_bytes=most)
    for block in blocks:
        for position in range(len(block)):
            try:
                value = json.loads(block.line(position))
            except (ValueError, RecursionError):
                value = parse_python_line(block.line(position))
            if isinstance(value, dict):
                yield value
