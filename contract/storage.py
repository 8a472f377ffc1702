"""Files of a data set on a local disk or an object store, through fsspec: whole writes, atomic publication.

A path is an fsspec URL (`s3://bucket/folder`) or a local path. `s3a://` means the same as `s3://`.
"""

import errno
import hashlib
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

import fsspec

from contract.errors import UserError
from contract.names import STAGING_PREFIX
from contract.store_errors import GIVE_CREDENTIALS, code_of, read_errors, reason_of

Made = TypeVar("Made")

# Bytes that one request reads of an open file in a store. s3fs would read 50 MiB, most of them for nothing.
READ_BYTES: Final = 4 * 2**20
# For clients of S3: seconds until a connection counts as stalled, and how often a request is made in all.
_ONE_TRY: Final = {"connect_timeout": 10, "read_timeout": 20, "retries": {"total_max_attempts": 1}}
_PROMPT: Final = {"connect_timeout": 4, "read_timeout": 6, "retries": {"mode": "standard", "total_max_attempts": 3}}
# Pauses of up to 20 s, 75 s in all.
_PATIENT: Final = {"connect_timeout": 5, "read_timeout": 30, "retries": {"mode": "standard", "total_max_attempts": 12}}
_TRIES_OF_A_FOLDER: Final = 100  # of making a folder and a file in it, while another process deletes empty folders
_TRIES_OF_A_BODY: Final = 3  # of reading an answer whose connection breaks

_PATTERN: Final = re.compile(r"[*?[]")  # characters that fsspec expands in a list of paths
_WITH_SECRET: Final = re.compile(r"(s3|gs|gcs)://[^/]*@")


def open_filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path and the path on it, without a trailing slash.

    A request to S3 that fails in a way that may pass is made again for a minute or more. Settings of fsspec's own
    (`FSSPEC_S3`, its config files) win over these.
    """
    return _open(url, _PATIENT, tries_of_a_body=_TRIES_OF_A_BODY)


def open_promptly(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """As `open_filesystem`, but a request to S3 fails within half a minute: for a command's first request."""
    return _open(url, _PROMPT, tries_of_a_body=1)


def open_to_read(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """As `open_filesystem`, but a request to S3 is made once, and fails when nothing comes for 20 s."""
    return _open(url, _ONE_TRY, tries_of_a_body=1)


def _open(url: str, client: Mapping[str, Any], *, tries_of_a_body: int) -> tuple[fsspec.AbstractFileSystem, str]:
    if url.startswith("s3a://"):
        url = "s3" + url.removeprefix("s3a")
    if _WITH_SECRET.match(url):  # they would be stored in manifests and printed in errors
        raise UserError(f"{url.partition(':')[0]}:// takes no credentials in the URL; {GIVE_CREDENTIALS}")
    if "://" not in url and "::" in url:  # fsspec would take the part before `::` for a protocol
        return fsspec.filesystem("file"), os.path.abspath(url)
    options = {}
    if url.startswith("s3://"):
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            if "://" not in os.environ.get(name, "://"):
                raise UserError(f"{name} = {os.environ[name]!r}, expected a URL such as http://store:9000")
        options["config_kwargs"] = client | fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise UserError(f"cannot open {url!r}: {error}") from error
    if options:
        filesystem.retries = tries_of_a_body
    return filesystem, path.rstrip("/") or "/"


def require_answer(url: str) -> None:
    """UserError within half a minute where S3 does not answer, refuses the credentials, or has no such bucket."""
    filesystem, path = open_promptly(url)
    if "s3" not in filesystem.protocol:
        return
    bucket, _, prefix = path.partition("/")
    try:
        filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except read_errors() as error:
        if code_of(error) != "AccessDenied":  # a user who may not list may still read or write
            raise UserError(f"cannot use {url}: {reason_of(error, url)}") from error


def require_writable(url: str) -> None:
    """UserError unless files can be written and deleted in this folder, which need not exist. Leaves no file behind.

    On a local disk the nearest existing folder is tried.
    """
    filesystem, path = open_promptly(url)
    if is_local(filesystem):
        nearest = next(folder for folder in (Path(path), *Path(path).parents) if os.path.lexists(folder))
        try:
            tempfile.TemporaryFile(dir=nearest).close()
        except OSError as error:
            raise UserError(
                f"cannot write to {url}: {nearest} is no folder that may be written to ({error.strerror}); choose"
                " another folder"
            ) from error
        return
    probe = join(
        path, f"{STAGING_PREFIX}{uuid.uuid4().hex}/probe"
    )  # a preparation deletes it if this process is killed
    try:
        filesystem.pipe_file(probe, b"")
        filesystem.rm_file(probe)
    except read_errors() as error:
        raise UserError(
            f"cannot write to {url}: {reason_of(error, url)}; get permission and run again, or choose another folder"
        ) from error


def is_local(filesystem: fsspec.AbstractFileSystem) -> bool:
    """Whether files lie on a disk of this machine."""
    return "file" in filesystem.protocol


def join(root: str, name: str) -> str:
    """`root/name`, also where root is a URL."""
    return f"{root.rstrip('/')}/{name}"


def read_bytes(url: str, *, open: Callable[[str], tuple[fsspec.AbstractFileSystem, str]] = open_filesystem) -> bytes:
    """All bytes of a small file; FileNotFoundError where there is none."""
    filesystem, path = open(url)
    return filesystem.cat_file(path)


def read_checked(url: str, *, sha256: str, restore: str) -> bytes:
    """All bytes of a file of a data set; UserError where it cannot be read, or its sha256 is not the manifest's."""
    try:
        data = read_bytes(url)
    except read_errors() as error:
        raise UserError(f"cannot read {url}, a file of the data set: {reason_of(error, url)}; {restore}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{url} is damaged: its sha256 is not that of the manifest; {restore}")
    return data


def version_of(url: str) -> str | None:
    """S3's tag of an object's present version; None in other stores, and where there is no such object."""
    filesystem, path = open_filesystem(url)
    return _version(filesystem, path) if "s3" in filesystem.protocol else None


def write_bytes(url: str, data: bytes, *, replace: bool = True, version: str | None = None) -> None:
    """Writes a file that appears whole or not at all. Without `replace`, FileExistsError if it is there already.

    On a local disk: a temporary file, flushed to the disk, then one rename. On an object store: one PUT, without
    `replace` on the condition that there is no such object, with a `version` (`version_of`) that this version still
    stands: FileExistsError if not. A store that knows no conditions writes anyway.
    """
    filesystem, path = open_filesystem(url)
    if is_local(filesystem):
        _write_local(path, data, replace=replace)
        return
    filesystem.invalidate_cache()
    if replace and version is None:
        filesystem.pipe_file(path, data)
    else:
        _write_over(filesystem, path, data, version=version)


def _write_over(filesystem: fsspec.AbstractFileSystem, path: str, data: bytes, *, version: str | None) -> None:
    """One PUT on the condition that this version stands, or no object where None; FileExistsError if not."""
    try:
        filesystem.pipe_file(path, data, **({"IfMatch": version} if version else {"mode": "create"}))
    except (OSError, ValueError, NotImplementedError) as error:
        standing = _version(filesystem, path)
        if standing is not None and filesystem.cat_file(path) == data:
            return  # an earlier try succeeded, and its answer was lost
        if standing != version:
            raise FileExistsError(path) from error
        if isinstance(error, OSError) and error.errno != errno.ENOSYS:
            raise
        filesystem.pipe_file(path, data)  # the store knows no conditions


def _version(filesystem: fsspec.AbstractFileSystem, path: str) -> str | None:
    """None where there is no such object."""
    filesystem.invalidate_cache()
    try:
        return str(filesystem.info(path).get("ETag", "any"))
    except FileNotFoundError:
        return None


def in_folder(folder: str, create: Callable[[], Made]) -> Made:
    """What `create` gives, which makes a file in this local folder; the folder is made where it is missing.

    Another process may delete the folder before there is a file in it, as `delete_files` does: then it is made again.
    """
    for _ in range(_TRIES_OF_A_FOLDER - 1):
        with suppress(FileNotFoundError):
            os.makedirs(folder, exist_ok=True)
            return create()
    os.makedirs(folder, exist_ok=True)
    return create()


def _write_local(path: str, data: bytes, *, replace: bool) -> None:
    folder, name = os.path.split(path)
    descriptor, temporary = in_folder(folder, partial(tempfile.mkstemp, dir=folder, prefix=f".{name}.", suffix=".tmp"))
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


def flush(path: Path) -> None:
    """Flushes a local file, or a local folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_files(url: str) -> list[str]:
    """Paths of all files below a folder, relative to it and sorted; empty where there is no such folder."""
    filesystem, root = open_filesystem(url)
    filesystem.invalidate_cache()  # other processes write, too
    if not filesystem.exists(root):
        return []
    return sorted(str(PurePosixPath(path).relative_to(root)) for path in filesystem.find(root))


def delete_files(url: str, names: list[str]) -> None:
    """Deletes these files below a folder, and on a local disk the folders that become empty.

    Files may be missing: other processes may delete the same ones.
    """
    filesystem, root = open_filesystem(url)
    paths = [join(root, name) for name in names]
    if paths and not is_local(filesystem) and not any(map(_PATTERN.search, paths)):
        filesystem.rm(paths)  # S3: a thousand at a time
        return
    for path in paths:
        with suppress(FileNotFoundError):
            filesystem.rm_file(path)
    if is_local(filesystem):
        for folder in sorted({os.path.dirname(path) for path in paths} - {root}, reverse=True):
            with suppress(OSError):  # not empty
                os.rmdir(folder)
