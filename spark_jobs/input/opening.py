"""Opens input files of all compressions, and checks that they are what they were when they were listed."""

import bz2
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, cast

import pyarrow as pa
from isal import igzip, isal_zlib

from contract import storage
from contract.errors import UserError
from contract.manifest import Source
from spark_jobs.input.formats import MAGIC_BYTES, kind_of, require_kind

_SKIP_BYTES: Final = 2**20


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
            start = file.read(MAGIC_BYTES)
            file.seek(0)
            require_kind(start, source)
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


class ForwardStream:
    """A decompressed stream that knows its position and moves forward only."""

    def __init__(self, stream: Any) -> None:  # a stream of any library: `read` is all that they share
        self._stream = stream
        self._position = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; no bytes only at the end."""
        data = self._stream.read(size)
        self._position += len(data)
        return data

    def seek(self, position: int) -> int:
        """Reads on to this position, or to the end if the file is shorter; returns the position reached."""
        assert position >= self._position, "a stream does not go back"
        while self._position < position and self.read(min(_SKIP_BYTES, position - self._position)):
            pass
        return self._position

    def readable(self) -> bool:
        return True

    @property
    def closed(self) -> bool:
        return False
