"""Input files, and the ranges of bytes that tasks read them by."""

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, cast

import fsspec

from contract import storage
from contract.errors import UserError
from contract.manifest import Source

GZIP_MAGIC: Final = b"\x1f\x8b"
MIN_RANGE_BYTES: Final = 2**20
MAX_RANGE_BYTES: Final = 32 * 2**20  # a task holds the cleaned records of its range


@dataclass(frozen=True)
class ByteRange:
    """The lines of one file whose first byte lies in [start, end); `end` is None for all that follow."""

    source: int  # position of the file in the sorted list of inputs
    start: int
    end: int | None


def list_sources(url: str) -> tuple[Source, ...]:
    """The input files, sorted by path; names that begin with `_` or `.` are files like any other.

    UserError where there is no such file, or nothing in it.
    """
    filesystem, path = storage.open_filesystem(url)
    try:
        if filesystem.isdir(path):
            found = filesystem.find(path, detail=True)
        elif filesystem.exists(path):
            found = {path: filesystem.info(path)}
        else:
            found = filesystem.glob(path, detail=True)
            found = {name: info for name, info in found.items() if info["type"] == "file"}
    except PermissionError as error:
        raise UserError(f"not allowed to read {url}: {error}") from error
    if not found and storage.is_local(filesystem):
        _require_open(path)
    if not found:
        raise UserError(f"no such input: {url}; expected a file of JSON lines, a folder of such files, or a glob")
    sources = tuple(_source(filesystem, found[name]) for name in sorted(found))
    if sum(source.bytes for source in sources) == 0:
        raise UserError(f"the input is empty: {url} ({len(sources)} file(s) of 0 bytes)")
    return sources


def _require_open(path: str) -> None:
    """UserError where the folder that should hold this may not be looked into; fsspec finds nothing there then."""
    for folder in (Path(path), *Path(path).parents):
        try:
            os.scandir(folder).close()
            return
        except PermissionError as error:
            raise UserError(f"not allowed to read {path}: the folder {folder} is closed to this user") from error
        except OSError:  # no folder, or none of this name: look at the one above
            continue


def _source(filesystem: fsspec.AbstractFileSystem, info: dict[str, Any]) -> Source:
    """`info` is whatever the storage tells of a file: its time stamp has another name on each."""
    names = ("mtime", "LastModified", "last_modified", "updated", "modification_time", "ETag", "etag")
    modified = next((info[name] for name in names if info.get(name) is not None), "")
    if isinstance(modified, float):
        modified = datetime.fromtimestamp(modified, UTC)
    if isinstance(modified, datetime):
        modified = modified.isoformat()
    url = info["name"] if storage.is_local(filesystem) else filesystem.unstrip_protocol(info["name"])
    return Source(path=re.sub(r"://[^/@]*@", "://", url), bytes=info["size"], modified=str(modified))


def is_gzip(source: Source) -> bool:
    """Whether a file is read through gzip; then it is one range, and offsets count in the decompressed stream."""
    return source.path.endswith(".gz")


def plan_ranges(sources: Sequence[Source], *, parallelism: int) -> list[ByteRange]:
    """Ranges that cover every byte of every file once, about six for each of `parallelism` tasks or more."""
    total = sum(source.bytes for source in sources)
    size = min(max(total // (6 * parallelism) + 1, MIN_RANGE_BYTES), MAX_RANGE_BYTES)
    ranges = []
    for number, source in enumerate(sources):
        if is_gzip(source):
            ranges.append(ByteRange(number, 0, None))
        else:
            ranges += [
                ByteRange(number, start, min(start + size, source.bytes)) for start in range(0, source.bytes, size)
            ]
    return ranges


@contextmanager
def open_source(source: Source) -> Iterator[IO[bytes]]:
    """The file's decompressed bytes. UserError with its name where it changed since it was listed or is damaged."""
    try:
        filesystem, path = storage.open_filesystem(source.path)
        size = filesystem.size(path)
        if size != source.bytes:
            raise UserError(
                f"{source.path} changed while it was read: {source.bytes} bytes at first, {size} now; run again"
            )
        with filesystem.open(path, "rb") as file:
            if is_gzip(source):
                with gzip.open(file) as stream:
                    yield cast(IO[bytes], stream)
            else:
                _refuse_gzip(file, source)
                yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{source.path} is not a whole gzip file: {error}; fetch or compress it again") from error
    except (FileNotFoundError, PermissionError) as error:
        raise UserError(f"cannot read {source.path}: {error}") from error


def _refuse_gzip(file: IO[bytes], source: Source) -> None:
    if file.read(2) == GZIP_MAGIC:
        raise UserError(f"{source.path} is compressed by gzip, but its name does not end in .gz; rename it")
    file.seek(0)
