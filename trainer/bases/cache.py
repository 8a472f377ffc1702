"""GGUF files converted once, in folders of the user's cache that appear whole or not at all."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from safetensors import SafetensorError

from contract import storage
from contract.errors import UserError
from trainer.bases.digest import digest_of
from trainer.bases.gguf_file import GgufFile, read_gguf
from trainer.bases.source import find_base, require_base

_CONVERSION: Final = 1  # to be raised when the files of a conversion change
DIGESTS: Final = "digests.json"
TEMPORARY: Final = ".tmp"


def folder_of(base: str) -> str:
    """The folder or hub name that transformers can load for this base; a GGUF file is converted at its first use.

    A converted folder is checked by digest, and made again if it is damaged. Processes that want the same one wait for
    the first. UserError where the file is missing or cannot be converted.
    """
    source = find_base(base)
    if source is None:
        return base
    try:
        folder = _cache() / f"{digest_of(source)}-{_CONVERSION}"
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror}") from error
    if is_intact(folder):
        return str(folder)
    require_base(base)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent):
            if not is_intact(folder):  # another process may have made it
                _convert(read_gguf(source), folder)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{folder} could not be written: {error}; make room there, or set XDG_CACHE_HOME to another folder"
        ) from error
    return str(folder)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrine" / "bases"


def is_conversion(folder: Path) -> bool:
    """Whether this folder is one of the cache, where a GGUF file was converted."""
    return folder.parent == _cache() and (folder / DIGESTS).is_file()


def is_intact(folder: Path) -> bool:
    """Whether a folder holds the files that were written, and no others."""
    try:
        digests = json.loads((folder / DIGESTS).read_text())
        found = {path.name: digest_of(path) for path in folder.iterdir() if path.name != DIGESTS}
    except (OSError, ValueError):
        return False
    return bool(digests == found)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for this process alone, and deletes what a process that was killed left half written."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left_over in folder.glob(f"*{TEMPORARY}"):
            shutil.rmtree(left_over)
        yield
    finally:
        os.close(descriptor)


def _convert(file: GgufFile, folder: Path) -> None:
    from trainer.bases.conversion import write_conversion  # whose imports take longer than the check of a folder

    temporary, replaced = (folder.with_name(f".{folder.name}{end}{TEMPORARY}") for end in ("", ".old"))
    try:
        temporary.mkdir()
        write_conversion(file, temporary)
        digests = {path.name: digest_of(path) for path in sorted(temporary.iterdir())}
        (temporary / DIGESTS).write_text(json.dumps(digests, indent=1))
        for path in (*temporary.iterdir(), temporary):
            storage.flush(path)
        if folder.exists():  # damaged
            os.rename(folder, replaced)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
