"""Looks at the start of an open file without reading on."""

from typing import IO, Final

from spark_jobs.input.documents.place import has_pages
from spark_jobs.input.documents.shape import Shape, shape_of
from spark_jobs.input.fields import FieldNames
from spark_jobs.input.formats import FORMATS, Format

WINDOW_BYTES: Final = 2**16
MOST_WINDOW_BYTES: Final = 2**22  # of a text whose first line does not end sooner


def format_of(file: IO[bytes], names: FieldNames) -> Format:
    """The format of an open text that is no table: JSON lines, JSON of another layout, or XML."""
    start, is_whole = peek(file)
    shape = shape_of(start, is_whole=is_whole)
    if shape is Shape.LINES and has_pages(start, names):
        shape = Shape.VALUES
    return next(row for row in FORMATS if row.name == shape.value)


def peek(file: IO[bytes]) -> tuple[bytes, bool]:
    """The first bytes of a file that stands at its start, and whether they are all; it stands there again then."""
    start, size = b"", WINDOW_BYTES
    while len(start) < size and (data := file.read(size - len(start))):
        start += data
        if len(start) == size and b"\n" not in start:
            size = MOST_WINDOW_BYTES
    is_whole = len(start) < size
    if file.seekable():
        file.seek(0)
    else:
        file.put_back(start)  # type: ignore[attr-defined]  # a ForwardStream
    return start, is_whole
