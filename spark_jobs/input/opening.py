"""Opens input files of all compressions, and checks that they are what they were when they were listed."""

import bz2
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Any, Final, cast

import pyarrow as pa
from isal import igzip, isal_zlib

from contract import storage
from contract.errors import UserError
from contract.manifest import Source
from spark_jobs.input.encodings import Utf8Stream, encoding_of, encoding_without_mark, is_utf8_by_name
from spark_jobs.input.formats import MAGIC_BYTES, kind_of, require_kind, require_text

_SKIP_BYTES: Final = 2**20


@contextmanager
def open_source(source: Source, *, encoding: str | None = None) -> Iterator[IO[bytes]]:
    """The file's decompressed bytes, of a text in UTF-8. UserError with its name where it changed or is damaged.

    A text that begins with a byte order mark is in that encoding, any other in `encoding`, which is UTF-8 where nothing
    is said. A stream that is decompressed or decoded moves forward only, and says so by `seekable`.
    """
    kind = kind_of(source)
    compression = kind.compression
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
            yield _open_text(file, source, encoding=encoding) if kind.format.is_text else file
    except FileNotFoundError as error:
        raise UserError(f"cannot read {source.path}: {error}; all machines of a cluster must find it there") from error
    except PermissionError as error:
        raise UserError(f"cannot read {source.path}: {error}") from error
    # isal's stubs call its error an instance.
    except (EOFError, isal_zlib.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError) as error:  # type: ignore[misc]
        if not compression:
            raise
        raise UserError(
            f"{source.path} is not a whole {compression} file: {error}; fetch or compress it again"
        ) from error


def _open_text(file: Any, source: Source, *, encoding: str | None) -> IO[bytes]:  # a file of any storage
    """The text in UTF-8; the file itself where it is that already."""
    compression = kind_of(source).compression
    stream = _decompress(file, compression, source) if compression else file
    start = b""
    while len(start) < MAGIC_BYTES and (data := stream.read(MAGIC_BYTES - len(start))):
        start += data
    require_text(start, source.path)
    if encoding is None and (wide := encoding_without_mark(start)):
        raise UserError(f"{source.path} looks like {wide} without a byte order mark: add --encoding {wide}")
    if compression:
        stream = ForwardStream(stream, start=start)
    else:
        file.seek(0)
    found = encoding_of(start, asked=encoding)
    return cast(IO[bytes], stream if is_utf8_by_name(found) else ForwardStream(Utf8Stream(stream, found)))


def _decompress(file: Any, compression: str, source: Source) -> Any:  # streams of five libraries
    if compression == "gzip":
        return igzip.open(file)
    if compression == "bz2":
        return bz2.open(file)
    if compression == "xz":
        return lzma.open(file)
    if compression == "zip":
        return _open_member(zipfile.ZipFile(file), source)
    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression)


def _open_member(archive: zipfile.ZipFile, source: Source) -> IO[bytes]:
    """The one file of a zip archive. UserError where there are several, or its format is not that of the name."""
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(names) != 1:
        raise UserError(
            f"{source.path} is a zip archive of {len(names)} files, expected one: unpack it and name the folder"
        )
    wanted, found = kind_of(source), kind_of(Source(names[0], 0, ""))
    if found.format != wanted.format or found.compression:
        suffix = "".join(PurePosixPath(names[0]).suffixes[-1:])
        raise UserError(
            f"{source.path} holds {names[0]}: unpack it, or rename it so that it ends in {suffix.lower()}.zip"
            if not found.compression and not found.format.is_compressed
            else f"{source.path} holds {names[0]}, which is compressed itself: unpack it"
        )
    try:
        return archive.open(names[0])
    except (RuntimeError, NotImplementedError) as error:  # a password, another compression
        raise UserError(f"{source.path} cannot be unpacked here: {error}; unpack it and name the file in it") from error


class ForwardStream:
    """A decompressed or decoded stream that knows its position and moves forward only."""

    def __init__(self, stream: Any, *, start: bytes = b"") -> None:  # a stream of any library: they share only `read`
        self._stream = stream
        self._start = start  # bytes that were read of it already
        self._position = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; no bytes only at the end."""
        data, self._start = self._start[:size], self._start[size:]
        if len(data) < size:
            data += self._stream.read(size - len(data))
        self._position += len(data)
        return data

    def seek(self, position: int) -> int:
        """Reads on to this position, or to the end if the file is shorter; returns the position reached."""
        assert position >= self._position, "a stream does not go back"
        while self._position < position and self.read(min(_SKIP_BYTES, position - self._position)):
            pass
        return self._position

    def put_back(self, data: bytes) -> None:
        """Makes bytes that were read the next ones again."""
        self._start = data + self._start
        self._position -= len(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    @property
    def closed(self) -> bool:
        return False
