"""Files become fields, whatever their format and compression."""

import bz2
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, cast

import pyarrow as pa
from isal import igzip, isal_zlib

from contract import storage
from contract.errors import UserError
from contract.manifest import Source
from spark_jobs.input.fields import FieldNames, Fields
from spark_jobs.input.lines import iter_lines
from spark_jobs.input.parse import fields_of_lines
from spark_jobs.input.source import Part, kind_of
from spark_jobs.input.tables import read_csv, read_parquet

_MAGIC: Final = {b"\x1f\x8b": (".gz", "gzip"), b"\x28\xb5\x2f\xfd": (".zst", "zstd"), b"BZh": (".bz2", "bz2")}
_MAGIC_BYTES: Final = 4
_SKIP_BYTES: Final = 2**20


def read_part(source: Source, part: Part, *, names: FieldNames, max_line_bytes: int) -> Iterator[Fields]:
    """The fields of what one task reads, some thousand lines or rows at a time.

    UserError with the file's name where it changed since it was listed or is damaged.
    """
    kind = kind_of(source)
    if not source.bytes:
        return
    with open_source(source) as file:
        if kind.format == "parquet":
            yield from read_parquet(file, part, path=source.path, names=names, max_line_bytes=max_line_bytes)
        elif kind.format == "csv":
            yield from read_csv(file, part, path=source.path, names=names, max_line_bytes=max_line_bytes)
        else:
            yield from _read_lines(file, part, names=names, max_line_bytes=max_line_bytes)


def _read_lines(file: IO[bytes], part: Part, *, names: FieldNames, max_line_bytes: int) -> Iterator[Fields]:
    start, end = part.start, part.end
    while True:
        for lines in iter_lines(file, start=start, end=end, max_line_bytes=max_line_bytes):
            yield fields_of_lines(lines, names)
        if part.every is None or end is None:
            return
        start, end = start + part.every, end + part.every
        if file.seek(start - 1) < start - 1:  # the file has ended before
            return


class ForwardStream:
    """A decompressed stream that knows where it is, and moves forward only."""

    def __init__(self, stream: Any) -> None:  # any of the libraries' streams: all they share is `read`
        self._stream = stream
        self._position = 0

    def read(self, size: int) -> bytes:
        """Up to so many bytes; none at the end only."""
        data = self._stream.read(size)
        self._position += len(data)
        return data

    def seek(self, position: int) -> int:
        """Goes on to this position, or to the end if that comes before; the position reached."""
        assert position >= self._position, "a stream does not go back"
        while self._position < position and self.read(min(_SKIP_BYTES, position - self._position)):
            pass
        return self._position

    def readable(self) -> bool:
        return True

    @property
    def closed(self) -> bool:
        return False


@contextmanager
def open_source(source: Source) -> Iterator[IO[bytes]]:
    """The file's decompressed bytes. UserError with its name where it changed since it was listed or is damaged."""
    compression = kind_of(source).compression
    try:
        filesystem, path = storage.open_filesystem(source.path)
        size = filesystem.size(path)
        if size != source.bytes:
            raise UserError(
                f"{source.path} changed while it was read: {source.bytes} bytes at first, {size} now; run again"
            )
        with filesystem.open(path, "rb", block_size=storage.READ_BYTES) as file:
            _require_kind(file, source)
            yield cast(IO[bytes], ForwardStream(_decompress(file, compression)) if compression else file)
    except FileNotFoundError as error:
        raise UserError(f"cannot read {source.path}: {error}; all machines of a cluster must find it there") from error
    except PermissionError as error:
        raise UserError(f"cannot read {source.path}: {error}") from error
    # isal's stubs call its error an instance.
    except (EOFError, isal_zlib.error, OSError) as error:  # type: ignore[misc]
        if not compression:
            raise
        raise UserError(
            f"{source.path} is not a whole {compression} file: {error}; fetch or compress it again"
        ) from error


def _decompress(file: IO[bytes], compression: str) -> Any:
    if compression == "gzip":
        return igzip.open(file)
    if compression == "bz2":
        return bz2.open(file)
    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression)


def _require_kind(file: IO[bytes], source: Source) -> None:
    """UserError where the file begins like one of another kind than its name says."""
    kind = kind_of(source)
    start = file.read(_MAGIC_BYTES)
    file.seek(0)
    if kind.format == "parquet":
        return
    if start == b"PAR1":
        raise UserError(f"{source.path} is a Parquet file, but its name does not end in .parquet; rename it")
    for magic, (suffix, name) in _MAGIC.items():
        if start.startswith(magic) and kind.compression is None:
            raise UserError(f"{source.path} is compressed by {name}, but its name does not end in {suffix}; rename it")
