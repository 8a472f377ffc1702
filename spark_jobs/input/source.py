"""Input files: which there are, in which format, and the parts that tasks read them by."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import fsspec

from contract import storage
from contract.errors import UserError
from contract.manifest import Source
from contract.names import MANIFEST_NAME

MIN_RANGE_BYTES: Final = 2**20
MAX_RANGE_BYTES: Final = 32 * 2**20  # a task holds the cleaned records of its range
BLOCK_ROWS: Final = 2**15  # of a CSV file, in place of bytes
# Decompression gives about 1 GB/s, and a task cleans some 60 MB/s: with more tasks each would wait for its blocks.
MAX_TASKS_A_FILE: Final = 16

COMPRESSIONS: Final = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
FORMATS: Final = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv"}  # by name; any other holds JSON lines
_COMPRESSION_RATIO: Final = 4  # of decompressed to compressed bytes, about


class FileKind(NamedTuple):
    """How a file is read, as its name tells."""

    format: str  # jsonl, csv or parquet
    compression: str | None

    @property
    def can_seek(self) -> bool:
        """Whether a task can begin in the middle of the file, rather than read all that comes before."""
        return self.compression is None and self.format != "csv"


@dataclass(frozen=True)
class Part:
    """What one task reads of a file: all that begins in [start, end), and again `every` so much further on.

    Places are bytes of the decompressed file, and rows of a CSV file. `end` is None for all that follows.
    """

    source: int  # position of the file in the sorted list of inputs
    start: int
    end: int | None
    every: int | None = None


def list_sources(urls: str) -> tuple[Source, ...]:
    """The input files, each once, sorted by path; names that begin with `_` or `.` are files like any other.

    Several paths are separated by commas. UserError where there is no such file, or nothing in it.
    """
    for url in urls.split(","):
        storage.require_answer(url)
    filesystem, path = storage.open_filesystem(urls)
    parts = [urls] if "," not in urls or filesystem.exists(path) else [url for url in urls.split(",") if url]
    found = {source.path: source for url in parts for source in _list(url)}
    sources = tuple(found[name] for name in sorted(found))
    if sum(source.bytes for source in sources) == 0:
        raise UserError(f"the input is empty: {urls} ({len(sources)} file(s) of 0 bytes)")
    return sources


def _list(url: str) -> list[Source]:
    filesystem, path = storage.open_filesystem(url)
    try:
        if filesystem.isdir(path):
            found = filesystem.find(path, detail=True)
        elif filesystem.exists(path):
            found = {path: filesystem.info(path)}
        else:
            found = filesystem.glob(path, detail=True)
            found = {name: info for name, info in found.items() if info["type"] == "file"}
    except storage.read_errors() as error:
        raise UserError(f"cannot read {url}: {storage.reason_of(error, url)}") from error
    if not found and storage.is_local(filesystem):
        _require_open(path)
    if not found:
        raise UserError(f"no such input: {url}; expected a file, a folder or a glob")
    if made := [name for name in found if name.endswith(f"/{MANIFEST_NAME}")]:
        raise UserError(
            f"the input {url} holds a data set that is prepared already: {made[0]}; name the catalogue's files"
        )
    return [_source(filesystem, info) for info in found.values()]


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


def kind_of(source: Source) -> FileKind:
    """How a file is read.

    >>> kind_of(Source("a/trn.json.gz", 1, "")), kind_of(Source("a/products.csv", 1, ""))
    (FileKind(format='jsonl', compression='gzip'), FileKind(format='csv', compression=None))
    """
    name, suffix = os.path.splitext(source.path.lower())
    compression = COMPRESSIONS.get(suffix)
    if compression:
        suffix = os.path.splitext(name)[1]
    kind = FileKind(FORMATS.get(suffix, "jsonl"), compression)
    if kind.format == "parquet" and compression:
        raise UserError(f"{source.path} is a compressed Parquet file: decompress it; Parquet is compressed within")
    return kind


def estimate_bytes(sources: Sequence[Source]) -> int:
    """Size of the input without compression, about."""
    return sum(source.bytes * (_COMPRESSION_RATIO if _is_compressed(source) else 1) for source in sources)


def _is_compressed(source: Source) -> bool:
    kind = kind_of(source)
    return kind.compression is not None or kind.format == "parquet"


def plan_parts(sources: Sequence[Source], *, parallelism: int, max_line_bytes: int) -> list[Part]:
    """Parts that cover everything in every file once.

    Of what can be read from the middle, about six for each of `parallelism` tasks or more. A file that cannot is read
    from its start by each of the tasks that share it, which decompresses it again, but parses and cleans no line
    twice: that is what costs.
    """
    total = sum(source.bytes for source in sources)
    size = min(max(total // (6 * parallelism) + 1, MIN_RANGE_BYTES), MAX_RANGE_BYTES)
    num_whole = sum(bool(source.bytes) and not kind_of(source).can_seek for source in sources)
    parts = []
    for number, source in enumerate(sources):
        kind = kind_of(source)
        if not source.bytes:
            continue
        if kind.can_seek:
            parts += [Part(number, start, min(start + size, source.bytes)) for start in range(0, source.bytes, size)]
        else:
            # Lines reach into the next block, so a task's own blocks must lie further apart than a line is long.
            block = BLOCK_ROWS if kind.format == "csv" else max(MAX_RANGE_BYTES, 2 * max_line_bytes)
            parts += _strided(number, block, count=min(-(-parallelism // num_whole), MAX_TASKS_A_FILE))
    return parts


def _strided(source: int, block: int, *, count: int) -> list[Part]:
    if count == 1:
        return [Part(source, 0, None)]
    return [Part(source, index * block, (index + 1) * block, every=count * block) for index in range(count)]
