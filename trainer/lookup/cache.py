"""Indexes in folders of the user's cache, each made by one process, that appear whole or not at all."""

import errno
import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from contract import storage
from contract.errors import UserError
from trainer.lookup.index import ABOUT, VERSION, TitleIndex, open_index

_TEMPORARY: Final = ".tmp"
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)

Make = Callable[[Path], None]


def cached_index(dataset_id: str, make: Make) -> TitleIndex:
    """The index of a data set. `make(folder)` writes it where the cache has none that is whole.

    Processes that want the same index wait for the first. Where the cache cannot be written, the index is made in a
    temporary folder, which is deleted with the process, and that is printed. UserError where the disk is full.
    """
    folder = _cache() / f"{dataset_id}-{VERSION}"
    if (index := open_index(folder, dataset_id=dataset_id)) is not None:
        return index
    try:
        return _made(folder, dataset_id, make)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise UserError(
                f"the disk of {folder.parent} is full: the index of the catalogue's titles needs about 200 bytes a"
                " record; make room there, or set XDG_CACHE_HOME to another folder"
            ) from error
        print(
            f"{folder.parent} cannot be written ({error.strerror}): the index of titles is made in a temporary folder,"
            " for this time only; set XDG_CACHE_HOME to a folder that can be written to keep it",
            file=sys.stderr,
            flush=True,
        )
    return _temporary(dataset_id, make)


def remake_index(dataset_id: str, make: Make) -> TitleIndex:
    """As `cached_index`, where the index was found to be wrong: it is made again."""
    with suppress(OSError):
        shutil.rmtree(_cache() / f"{dataset_id}-{VERSION}")
    return cached_index(dataset_id, make)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrine" / "titles"


def _made(folder: Path, dataset_id: str, make: Make) -> TitleIndex:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        index = open_index(folder, dataset_id=dataset_id)  # another process may have made it
        if index is None:
            temporary = folder.with_name(f".{folder.name}{_TEMPORARY}")
            shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
            temporary.mkdir()
            try:
                make(temporary)
                for path in (*temporary.iterdir(), temporary):
                    storage.flush(path)
                if folder.exists():  # broken
                    shutil.rmtree(folder)
                os.rename(temporary, folder)
                _delete_outdated(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            index = open_index(folder, dataset_id=dataset_id)
    assert index is not None, "an index that was just made is whole"
    return index


def _delete_outdated(folder: Path) -> None:
    """Deletes other indexes of the same path, whose data set was replaced. Who has one open can go on to read it."""
    for other in folder.parent.glob("*/"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if other != folder and _data_of(other) == _data_of(folder):
                shutil.rmtree(other)


def _data_of(folder: Path) -> object:
    return json.loads((folder / ABOUT).read_text())["data"]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the making of one index for this process alone."""
    path = folder.with_name(f".{folder.name}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another process that makes the index of titles", file=sys.stderr, flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _temporary(dataset_id: str, make: Make) -> TitleIndex:
    try:
        with tempfile.TemporaryDirectory(prefix="vitrine-titles-") as folder:
            make(Path(folder))
            index = open_index(Path(folder), dataset_id=dataset_id)  # files that are mapped stay readable
    except OSError as error:
        raise UserError(
            f"the index of titles cannot be written: {error}; set XDG_CACHE_HOME to a folder with room"
        ) from error
    assert index is not None, "an index that was just made is whole"
    return index
