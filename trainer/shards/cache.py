"""Whole shards in a local folder, which several processes and several jobs of a machine share.

A file is named by its sha256, which is checked at every open. The folder never holds more than its limit: a file gets
its whole size before its bytes are fetched. A file that a process reads is not deleted, since its room would not become
free. A process that finds no room reads the shard from the data set instead.

Locks of open files keep processes apart. They end with their process, however it ends:
- `lock`, exclusive: a process counts, deletes or renames.
- `SHA256.part`, exclusive: a process fetches this shard. Without a lock the file is left over, and is deleted first.
- `SHA256.parquet`, shared: a process reads this shard.
"""

import errno
import fcntl
import functools
import hashlib
import logging
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from command.locked_files import delete_unused, is_at, open_file, sha256_of, size_and_time, try_lock
from contract import storage
from contract.errors import UserError, first_line
from contract.shard import Shard
from trainer.config import TrainConfig, parse_size
from trainer.plan.data_sets import DataSet
from trainer.shards.files import damaged, read_part
from trainer.shards.retries import PATIENCE_S, insist, wait

log = logging.getLogger(__name__)

_PART_BYTES: Final = 2**22  # of one request
_LOOK_AGAIN_S: Final = 0.05  # while another process fetches
_FETCH_TRIES: Final = 2
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_OWN_NAME: Final = re.compile(r"[0-9a-f]{64}\.(parquet|part)")

Fetch = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Cache:
    """A folder and the number of bytes that it may hold."""

    folder: Path
    limit: int

    def open(self, shard: Shard, fetch: Fetch, *, stop: threading.Event) -> "CachedShard | None":
        """A whole and checked copy of a shard.

        None where the other copies are in use and leave no room, or where the process that fetches the shard hangs.
        `fetch(start, stop)` returns bytes of the shard. A damaged copy is fetched again once; DamagedShardError if the
        second copy is damaged, too. UserError where the folder cannot be written.
        """
        if not _SHA256.fullmatch(shard.sha256):
            raise UserError(
                f"the manifest gives shard {shard.path} the sha256 {shard.sha256!r}, expected 64 hexadecimal digits"
            )
        try:
            return self._open(shard, fetch, stop=stop)
        except TimeoutError as error:
            log.warning("%s; it is read from the data set instead", error)
            return None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UserError(
                    f"the disk of the cache {self.folder} is full: shard {shard.path} needs {shard.bytes} bytes;"
                    f" make room, or give a smaller --cache-limit than {self.limit} bytes"
                ) from error
            raise UserError(f"the cache {self.folder} cannot be used: {first_line(error)}") from error

    def _open(self, shard: Shard, fetch: Fetch, *, stop: threading.Event) -> "CachedShard | None":
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._delete_down_to(self.limit)  # the limit of an earlier job may have been larger
        fetched: list[str] = []
        while len(fetched) < _FETCH_TRIES:
            if (copy := self._find(shard, stop=stop)) is not None:
                return copy
            with self._claimed(shard, stop=stop) as part:
                if part is None:
                    continue
                if not self._make_room(part, shard):
                    _tell_full(self)
                    return None
                fetched.append(_fetch_into(part, shard, fetch))
                if fetched[-1] == shard.sha256:
                    return self._keep(part, shard, stop=stop)
        found = " and then ".join(digest[:16] + "…" for digest in fetched)
        raise damaged(shard, found=f"sha256 {found} where it comes from", expected=f"{shard.sha256[:16]}…")

    def _find(self, shard: Shard, *, stop: threading.Event) -> "CachedShard | None":
        """The copy in the folder, if it is sound; a damaged one is deleted."""
        path = self._path(shard, "parquet")
        while (descriptor := open_file(path, os.O_RDONLY)) is not None:
            copy = CachedShard(descriptor, shard, stop)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if not is_at(path, descriptor):
                continue  # deleted before it was locked
            if sha256_of(descriptor) == shard.sha256:
                os.utime(descriptor)
                return copy
            log.warning("%s in the cache %s is damaged; it is fetched again", path.name, self.folder)
            with self._locked():
                if is_at(path, descriptor):
                    path.unlink()
        return None

    @contextmanager
    def _claimed(self, shard: Shard, *, stop: threading.Event) -> Iterator[int | None]:
        """A locked file to fetch into; None where another process has fetched the shard meanwhile.

        The file is deleted at the end, unless it was renamed.
        """
        path, descriptor = self._path(shard, "part"), self._claim(shard, stop=stop)
        try:
            yield None if self._path(shard, "parquet").exists() else descriptor
        finally:
            if is_at(path, descriptor):
                path.unlink()
            os.close(descriptor)

    def _claim(self, shard: Shard, *, stop: threading.Event) -> int:
        """The open and locked file to fetch into; TimeoutError where another process has it locked for too long."""
        path, began = self._path(shard, "part"), time.monotonic()
        while time.monotonic() - began < PATIENCE_S:
            descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
            assert descriptor is not None
            if try_lock(descriptor) and is_at(path, descriptor):
                return descriptor
            os.close(descriptor)
            wait(_LOOK_AGAIN_S, stop)
        raise TimeoutError(f"another process has been fetching shard {shard.path} for {PATIENCE_S:.0f} s")

    def _make_room(self, part: int, shard: Shard) -> bool:
        """Gives a file its whole size, if it fits beside the files that are read or fetched."""
        with self._locked():
            os.ftruncate(part, 0)
            has_room = self._delete_down_to(self.limit - shard.bytes)
            if has_room:
                os.posix_fallocate(part, 0, shard.bytes)
            return has_room

    def _delete_down_to(self, num_bytes: int) -> bool:
        """Deletes left-over files, then the least recently used; whether at most `num_bytes` remain. Needs the lock."""
        own = [path for path in self.folder.iterdir() if _OWN_NAME.fullmatch(path.name)]
        found = {path: size_and_time(path) for path in own if path.is_file() and not path.is_symlink()}
        total = sum(size for size, _ in found.values())
        for path in sorted(found, key=lambda path: (path.suffix != ".part", found[path][1])):
            if path.suffix == ".part" or total > num_bytes:
                total -= found[path][0] if delete_unused(path) else 0
        return total <= num_bytes

    def _keep(self, part: int, shard: Shard, *, stop: threading.Event) -> "CachedShard":
        with self._locked():
            self._path(shard, "part").rename(self._path(shard, "parquet"))
            copy = CachedShard(os.dup(part), shard, stop)  # with the same lock
            fcntl.flock(part, fcntl.LOCK_SH)
        return copy

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = open_file(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        assert descriptor is not None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _path(self, shard: Shard, suffix: str) -> Path:
        return self.folder / f"{shard.sha256}.{suffix}"


class CachedShard:
    """A copy that is not deleted as long as this object lives."""

    def __init__(self, descriptor: int, shard: Shard, stop: threading.Event) -> None:
        self._descriptor = descriptor
        self._shard = shard
        self._stop = stop
        self._close = weakref.finalize(self, os.close, descriptor)

    def read(self, start: int, stop: int) -> bytes:
        """These bytes; DamagedShardError where the file was cut since it was opened."""
        what = f"the cached copy of shard {self._shard.path}"
        return insist(lambda: read_part(self._descriptor, self._shard, start, stop), what=what, stop=self._stop)


def open_cache(config: TrainConfig, data: Sequence[DataSet]) -> Cache | None:
    """The cache of these settings, or None where they ask for none.

    UserError where not even the largest shard fits, the folder cannot be written, or it lies in the folder of a data
    set or of the run.
    """
    if config.cache is None:
        return None
    largest = max(shard.bytes for data_set in data for shard in data_set.manifest.splits[data_set.split])
    limit = parse_size(config.cache_limit)
    if largest > limit:
        raise UserError(
            f"cache_limit = {config.cache_limit} ({limit} bytes), expected at least the {largest} bytes of the largest"
            " shard"
        )
    cache = Cache(Path(config.cache), limit)
    local = [(f"data set {each.root}", each.root) for each in data if "://" not in each.root]
    for what, folder in (*local, (f"run {config.run}", config.run)):
        if cache.folder.resolve().is_relative_to(Path(folder).resolve()):
            raise UserError(f"cache = {config.cache} lies in the folder of the {what}, expected one of its own")
    storage.require_writable(config.cache)
    return cache


@functools.cache
def _tell_full(cache: Cache) -> None:
    """Once a process."""
    log.warning(
        "the cache %s is full of shards that are in use; others are read from the data set (limit: %d bytes)",
        *(cache.folder, cache.limit),
    )


def _fetch_into(part: int, shard: Shard, fetch: Fetch) -> str:
    """Fetches a shard into a file; the sha256 of the bytes that came."""
    digest = hashlib.sha256()
    for start in range(0, shard.bytes, _PART_BYTES):
        data = memoryview(fetch(start, min(start + _PART_BYTES, shard.bytes)))
        digest.update(data)
        while data:
            written = os.pwrite(part, data, start)
            data, start = data[written:], start + written
    return digest.hexdigest()
