"""Shards as files on a disk or in a store; several threads may read parts of one at the same time."""

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol, TypeVar

import fsspec

from contract import storage
from contract.errors import UserError
from contract.names import MANIFEST_NAME
from contract.shard import Shard
from trainer.shards.retries import insist

Answer = TypeVar("Answer")


class DamagedShardError(UserError):
    """A shard whose bytes are not those that its manifest describes."""


class ShardFile(Protocol):
    """One shard."""

    def read(self, start: int, stop: int) -> bytes:
        """These bytes, all of them. DamagedShardError where the file is missing or not as long as the manifest says."""


def damaged(shard: Shard, *, found: str, expected: str) -> DamagedShardError:
    """The error for a damaged shard, with advice."""
    return DamagedShardError(
        f"shard {shard.path} is damaged: found {found}, expected {expected}; fetch the file again or prepare the data"
        " set again, or leave out its records with --skip-damaged"
    )


def open_shard(root: str, shard: Shard, *, stop: threading.Event) -> ShardFile:
    """A shard of the data set in this folder; nothing is read yet. UserError where its path leads out of the folder."""
    parts = PurePosixPath(shard.path).parts
    if "\\" in shard.path or ":" in shard.path or ".." in parts or os.path.isabs(shard.path) or not parts:
        raise UserError(f"the manifest of {root} names {shard.path!r}, which does not lie in its folder")
    filesystem, path = storage.open_to_read(storage.join(root, shard.path))
    if storage.is_local(filesystem):
        return LocalShard(path, shard, manifest=storage.join(root, MANIFEST_NAME), stop=stop)
    return RemoteShard(filesystem, path, shard, manifest=storage.join(root, MANIFEST_NAME), stop=stop)


@dataclass(frozen=True)
class LocalShard:
    """A shard on a disk of this machine. It is opened for each read, so the number of shards has no limit."""

    path: str
    shard: Shard
    manifest: str
    stop: threading.Event

    def read(self, start: int, stop: int) -> bytes:
        """See ShardFile. Not through a memory map: a file that is cut while it is mapped ends the process."""

        def request() -> bytes:
            with open(self.path, "rb", buffering=0) as file:
                return read_part(file.fileno(), self.shard, start, stop)

        return _insist(self, request)


def read_part(descriptor: int, shard: Shard, start: int, stop: int) -> bytes:
    """These bytes of an open file; DamagedShardError where it is not as long as the manifest says."""
    _check_size(shard, os.fstat(descriptor).st_size)
    data = bytearray()
    while len(data) < stop - start and (part := os.pread(descriptor, stop - start - len(data), start + len(data))):
        data += part
    if len(data) != stop - start:
        raise OSError(errno.EIO, f"{len(data)} of {stop - start} bytes came")
    return bytes(data)


@dataclass
class RemoteShard:
    """A shard in an object store."""

    filesystem: fsspec.AbstractFileSystem
    path: str
    shard: Shard
    manifest: str
    stop: threading.Event
    _has_size: bool = False

    def read(self, start: int, stop: int) -> bytes:
        """See ShardFile. One request; the first read makes another before it, for the size."""

        def request() -> bytes:
            if not self._has_size:
                _check_size(self.shard, self.filesystem.size(self.path))
                self._has_size = True
            try:
                data: bytes = self.filesystem.cat_file(self.path, start=start, end=stop)
                if len(data) != stop - start:
                    raise OSError(errno.EIO, f"{len(data)} of {stop - start} bytes came")
            except OSError:
                self._has_size = False  # the file may have been cut since
                raise
            return data

        return _insist(self, request)


def _insist(file: LocalShard | RemoteShard, request: Callable[[], Answer]) -> Answer:
    shard, what = file.shard, f"shard {file.shard.path}"
    try:
        return insist(request, what=what, stop=file.stop)
    except IsADirectoryError:
        raise damaged(shard, found="a folder in its place", expected=f"a file of {shard.bytes} bytes") from None
    except NotADirectoryError:
        raise damaged(shard, found="no file", expected=f"{shard.bytes} bytes") from None
    except FileNotFoundError:
        # If the manifest is gone, too, the storage is missing, not one file: the user must see to it.
        filesystem, path = storage.open_to_read(file.manifest)
        if not insist(lambda: filesystem.exists(path), what=what, stop=file.stop):
            raise UserError(f"{what} cannot be read: {file.manifest} is not there any more either") from None
        raise damaged(shard, found="no file", expected=f"{shard.bytes} bytes") from None


def _check_size(shard: Shard, size: Any) -> None:
    if size != shard.bytes:
        raise damaged(shard, found=f"{size} bytes", expected=f"{shard.bytes}")
