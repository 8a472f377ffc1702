"""Reads the records of a JSON array, of an object that holds lists, or of objects one after the other."""

from collections.abc import Iterator
from dataclasses import replace
from typing import IO

from spark_jobs.input.documents.elements import iter_elements
from spark_jobs.input.documents.look import peek
from spark_jobs.input.documents.place import find_place
from spark_jobs.input.fields import Fields, Part, ReadOptions
from spark_jobs.input.parse import fields_of_lines


def read_json_values(file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]:
    """The fields of the records that begin in this part. All tasks read the file from its start."""
    place = find_place(peek(file)[0], options.names, path=path)
    for lines in iter_elements(file, place, path=path, max_line_bytes=options.max_line_bytes):
        is_own = part.holds(lines.offsets)
        if is_own.any():
            own = replace(
                lines, starts=lines.starts[is_own], ends=lines.ends[is_own], is_too_long=lines.is_too_long[is_own]
            )
            yield fields_of_lines(own, options.names)
