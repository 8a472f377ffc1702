"""Files that processes share by locks, which the kernel gives back when a process ends, however it ends."""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Final

_PART_BYTES: Final = 2**22  # read at a time


def open_file(path: Path, flags: int) -> int | None:
    """None where there is no such file. Links are not followed, so that nothing outside of the folder is touched."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except FileNotFoundError:
        return None


def try_lock(descriptor: int) -> bool:
    """Whether it is locked for nobody else now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def delete_unused(path: Path) -> bool:
    """Whether a file that nobody has locked is gone."""
    descriptor = open_file(path, os.O_RDONLY)
    if descriptor is None:
        return True
    try:
        is_unused = try_lock(descriptor)
        if is_unused:
            path.unlink(missing_ok=True)
        return is_unused
    finally:
        os.close(descriptor)


def size_and_time(path: Path) -> tuple[int, int]:
    """Size and time of the last use; of a file that is not there any more, nothing."""
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def sha256_of(descriptor: int) -> str:
    """Of a whole file, from its start."""
    digest, position = hashlib.sha256(), 0
    while data := os.pread(descriptor, _PART_BYTES, position):
        digest.update(data)
        position += len(data)
    return digest.hexdigest()
