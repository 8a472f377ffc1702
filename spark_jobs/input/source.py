"""Input files: those that a path, a folder or a glob names."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

import fsspec

from contract import storage, store_errors
from contract.errors import UserError
from contract.manifest import Source
from contract.names import MANIFEST_NAME

_COMMA: Final = re.compile(r",(?![^{}]*\})")  # between paths, not between braces
_CHOICE: Final = re.compile(r"\{([^{}]*,[^{}]*)\}")  # `{a,b}` in a glob
_FIXED: Final = re.compile(r"[^*?[{]*/|")  # the folders of a glob that stand before its first special character
_SHOWN: Final = 3  # names in a message

Tell = Callable[[str], None]
Info = dict[str, Any]  # what a storage reports of a file; its keys depend on the storage


def list_sources(urls: str, *, tell: Tell = lambda _: None) -> tuple[Source, ...]:
    """The input files, each once, sorted by path.

    Several paths are separated by commas. Linked folders are followed. Files that a folder or a glob holds are passed
    over where their name, or that of a folder on the way, begins with `.` or `_`: programs put files of their own
    there. `tell` gets a sentence about all that is passed over.
    UserError where there is no such file, or nothing in it.
    """
    paths = _split(urls)
    by_path = {source.path: source for url in paths for source in _list(url, tell=tell)}
    sources = tuple(by_path[name] for name in sorted(by_path))
    if sum(source.bytes for source in sources) == 0:
        raise UserError(f"the input is empty: {urls} ({len(sources)} file(s) of 0 bytes)")
    return sources


def _split(urls: str) -> list[str]:
    """The paths between the commas; a file or folder whose own name holds a comma is one path.

    UserError where a storage does not answer.

    >>> _split("data/{a,b}.json,c.json")
    ['data/{a,b}.json', 'c.json']
    """
    parts = [url for url in _COMMA.split(urls) if url]
    for url in parts:
        storage.require_answer(url)
    filesystem, path = storage.open_filesystem(urls)
    return [urls] if len(parts) == 1 or filesystem.exists(path) else parts


def _list(url: str, *, tell: Tell) -> list[Source]:
    filesystem, path = storage.open_filesystem(url)
    try:
        is_there = filesystem.exists(path)
        roots = [path] if is_there else sorted({root for each in _choices(path) for root in filesystem.glob(each)})
        files = _local_files if storage.is_local(filesystem) else _remote_files
        found = {info["name"]: info for root in roots for info in files(filesystem, root, tell=tell)}
    except store_errors.read_errors() as error:
        raise UserError(f"cannot read {url}: {store_errors.reason_of(error, url)}") from error
    if not found and storage.is_local(filesystem):
        _require_open(path)
        if is_there and not os.path.isdir(path):
            raise UserError(
                f"{url} is a pipe or a device, which can be read only once: save it as a file, and name that"
            )
    if not found:
        raise UserError(f"no such input: {url}; expected a file, a folder or a glob")
    if made := [name for name in found if name.endswith(f"/{MANIFEST_NAME}")]:
        raise UserError(f"the input {url} holds a prepared data set: {made[0]}; name the catalogue's files")
    is_named = is_there or PurePosixPath(path).name.startswith((".", "_"))
    spelt = path if is_named else _FIXED.match(path)[0]  # type: ignore[index]  # it also matches nothing
    hidden = [name for name in found if _is_hidden(name[len(spelt) :])]
    if len(hidden) == len(found):
        raise UserError(
            f"no data in {url}: the names of all {len(hidden)} file(s) there begin with . or _, or those of their"
            f" folders; to read one all the same, name it: {hidden[0]}"
        )
    if hidden:
        tell(f"passed over {len(hidden)} file(s) in {url} whose names begin with . or _: {_some(hidden)}")
    return [_source(filesystem, info) for name, info in found.items() if name not in set(hidden)]


def _choices(path: str) -> list[str]:
    """The globs that a glob with `{a,b}` stands for.

    >>> _choices("{a,b}/{c,d}")
    ['a/c', 'a/d', 'b/c', 'b/d']
    """
    choice = _CHOICE.search(path)
    if choice is None:
        return [path]
    spelt = (path[: choice.start()] + word + path[choice.end() :] for word in choice[1].split(","))
    return [each for name in spelt for each in _choices(name)]


def _is_hidden(path: str) -> bool:
    """Whether a part of a path below the input begins with `.` or `_`. `_day=7` is a column of Spark's partitions."""
    names = PurePosixPath(path).parts
    return any(name.startswith(".") or (name.startswith("_") and "=" not in name) for name in names if name != "..")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _remote_files(filesystem: fsspec.AbstractFileSystem, root: str, *, tell: Tell) -> Iterator[Info]:  # noqa: ARG001
    if filesystem.isdir(root):
        yield from filesystem.find(root, detail=True).values()
    else:
        yield filesystem.info(root)


def _local_files(filesystem: fsspec.AbstractFileSystem, root: str, *, tell: Tell) -> Iterator[Info]:  # noqa: ARG001
    """The file, or all files below the folder, those in linked folders too; each folder once."""
    dangling, repeated, seen = [], [], {os.path.realpath(root)}
    folder, name = os.path.split(root)
    is_folder = os.path.isdir(root)
    walk = os.walk(root, followlinks=True, onerror=_raise) if is_folder else iter([(folder, [], [name])])
    for folder, subfolders, names in walk:
        subfolders.sort()
        for name in list(subfolders):
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            if real in seen or f"{os.path.realpath(folder)}/".startswith(f"{real}/"):
                subfolders.remove(name)
                repeated.append(path)
            seen.add(real)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield _info(path)
            elif os.path.islink(path):
                dangling.append(path)
    if dangling:
        tell(f"passed over {len(dangling)} link(s) to files that do not exist: {_some(dangling)}")
    if repeated:
        tell(
            f"passed over {len(repeated)} link(s) to folders that are read already or hold the link: {_some(repeated)}"
        )


def _raise(error: OSError) -> None:
    raise error


def _info(path: str) -> Info:
    """Of the file that a link leads to."""
    status = os.stat(path)
    return {"name": path, "size": status.st_size, "mtime": status.st_mtime}


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


def _source(filesystem: fsspec.AbstractFileSystem, info: Info) -> Source:
    """`info` is what the storage reports of a file; each storage has another name for the time stamp."""
    names = ("mtime", "LastModified", "last_modified", "updated", "modification_time", "ETag", "etag")
    modified = next((info[name] for name in names if info.get(name) is not None), "")
    if isinstance(modified, float):
        modified = datetime.fromtimestamp(modified, UTC)
    if isinstance(modified, datetime):
        modified = modified.isoformat()
    url = info["name"] if storage.is_local(filesystem) else filesystem.unstrip_protocol(info["name"])
    return Source(path=re.sub(r"://[^/@]*@", "://", url), bytes=info["size"], modified=str(modified))
