"""Input files: those that a path, a folder or a glob names."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec

from contract import storage
from contract.errors import UserError
from contract.manifest import Source
from contract.names import MANIFEST_NAME


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
        raise UserError(f"the input {url} holds a prepared data set: {made[0]}; name the catalogue's files")
    return [_source(filesystem, info) for info in found.values()]


def _require_open(path: str) -> None:
    """UserError where the folder of this path may not be read; fsspec finds nothing there then."""
    for folder in (Path(path), *Path(path).parents):
        try:
            os.scandir(folder).close()
            return
        except PermissionError as error:
            raise UserError(f"not allowed to read {path}: the folder {folder} is closed to this user") from error
        except OSError:  # no folder, or none of this name: try its parent
            continue


def _source(filesystem: fsspec.AbstractFileSystem, info: dict[str, Any]) -> Source:
    """`info` is what the storage reports of a file; each storage has another name for the time stamp."""
    names = ("mtime", "LastModified", "last_modified", "updated", "modification_time", "ETag", "etag")
    modified = next((info[name] for name in names if info.get(name) is not None), "")
    if isinstance(modified, float):
        modified = datetime.fromtimestamp(modified, UTC)
    if isinstance(modified, datetime):
        modified = modified.isoformat()
    url = info["name"] if storage.is_local(filesystem) else filesystem.unstrip_protocol(info["name"])
    return Source(path=re.sub(r"://[^/@]*@", "://", url), bytes=info["size"], modified=str(modified))
