"""Files of a data set on a local disk or an object store, through fsspec: whole writes, atomic publication.

A path is an fsspec URL (`s3://bucket/folder`) or a local path. `s3a://` means the same as `s3://`.
"""

import os
import sys
import tempfile
from pathlib import PurePosixPath
from typing import Any, Final

import fsspec

from contract.errors import UserError

# Seconds until a connection counts as stalled; and no second try, which is left to who reads.
_ONE_TRY: Final = {"connect_timeout": 10, "read_timeout": 20, "retries": {"total_max_attempts": 1}}

# What clients of object stores raise that is no OSError. They are optional, and loaded by fsspec where they are used.
_CLIENT_ERRORS: Final = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("requests", "RequestException"),
)
_HOPELESS_ERRORS: Final = (
    *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "ParamValidationError"),
    *("UnauthorizedSSOTokenError", "SSOTokenLoadError", "DefaultCredentialsError", "RefreshError"),
)


def open_filesystem(url: str, **options: Any) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path and the path on it, without a trailing slash. `options` are those of fsspec."""
    if url.startswith("s3a://"):
        url = "s3" + url.removeprefix("s3a")
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise UserError(f"cannot open {url!r}: {error}") from error
    return filesystem, path.rstrip("/") or "/"


def open_to_read(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """As `open_filesystem`, but a request to S3 is made once, and fails when nothing comes for 20 s.

    Settings of fsspec's own (`FSSPEC_S3`, its config files) win over these.
    """
    if not url.startswith(("s3://", "s3a://")):
        return open_filesystem(url)
    own = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
    filesystem, path = open_filesystem(url, config_kwargs=_ONE_TRY | own)
    filesystem.retries = 1
    return filesystem, path


def read_errors() -> tuple[type[Exception], ...]:
    """What reading may raise that is not for this project to mend; to be asked when something was raised.

    OSError, and what clients of object stores raise beside it, if they are loaded.
    """
    loaded = ((sys.modules.get(module), name) for module, name in _CLIENT_ERRORS)
    return OSError, *(getattr(module, name) for module, name in loaded if module is not None)


def is_hopeless(error: Exception) -> bool:
    """Whether it is of no use to try again: no right to read, no credentials, no such bucket."""
    forbidden = isinstance(error, PermissionError) or getattr(error, "code", None) in (401, 403)
    return forbidden or type(error).__name__ in _HOPELESS_ERRORS or is_missing_bucket(error)


def is_missing_bucket(error: Exception) -> bool:
    """Whether S3 says that there is no such bucket; s3fs makes a FileNotFoundError of it."""
    response = getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code") == "NoSuchBucket"


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
