"""Files of a data set on a local disk or an object store, through fsspec: whole writes, atomic publication.

A path is an fsspec URL (`s3://bucket/folder`) or a local path. `s3a://` means the same as `s3://`.
"""

import os
import tempfile
from pathlib import PurePosixPath

import fsspec

from contract.errors import UserError


def open_filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path and the path on it, without a trailing slash."""
    if url.startswith("s3a://"):
        url = "s3" + url.removeprefix("s3a")
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UserError(f"cannot open {url!r}: {error}") from error
    return filesystem, path.rstrip("/") or "/"


def is_local(filesystem: fsspec.AbstractFileSystem) -> bool:
    """Whether files lie on a disk of this machine."""
    return "file" in filesystem.protocol


def join(root: str, name: str) -> str:
    """`root/name`, also where root is a URL."""
    return f"{root.rstrip('/')}/{name}"


def read_bytes(url: str) -> bytes:
    """The whole of a small file; FileNotFoundError where there is none."""
    filesystem, path = open_filesystem(url)
    return filesystem.cat_file(path)


def write_bytes(url: str, data: bytes, *, replace: bool = True) -> None:
    """Writes a file that appears whole or not at all. Without `replace`, FileExistsError if it is there already.

    On a local disk: a temporary file, flushed to the disk, then one rename. On an object store: one PUT.
    """
    filesystem, path = open_filesystem(url)
    if is_local(filesystem):
        _write_local(path, data, replace=replace)
        return
    filesystem.invalidate_cache()
    if not replace and filesystem.exists(path):
        raise FileExistsError(url)
    filesystem.pipe_file(path, data)


def _write_local(path: str, data: bytes, *, replace: bool) -> None:
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # fails where the name exists, in one atomic step
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def list_files(url: str) -> list[str]:
    """Paths of all files below a folder, relative to it and sorted; empty where there is no such folder."""
    filesystem, root = open_filesystem(url)
    filesystem.invalidate_cache()  # other processes write, too
    if not filesystem.exists(root):
        return []
    return sorted(str(PurePosixPath(path).relative_to(root)) for path in filesystem.find(root))


def delete_files(url: str, names: list[str]) -> None:
    """Deletes these files below a folder, and on a local disk the folders that are empty then."""
    filesystem, root = open_filesystem(url)
    if not names:
        return
    filesystem.rm([join(root, name) for name in names])
    if is_local(filesystem):
        for folder in sorted({os.path.dirname(join(root, name)) for name in names}, reverse=True):
            if folder != root and not os.listdir(folder):
                os.rmdir(folder)
