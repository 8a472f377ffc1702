"""The digest of a base's weights, by which a run knows its base again."""

import contextlib
import hashlib
import os
import re
import time
from pathlib import Path
from typing import Final

from command.locked_files import sha256_of

_NOTED_BYTES: Final = 2**22  # a smaller file is read in less than 10 ms
_SETTLED_NS: Final = 2 * 10**9  # a file that changed just now may change again within the tick of its clock


def weights_digest(base: str) -> str | None:
    """The first 16 digits of a sha256 over the files with the weights; None where a folder or hub name has no file.

    Reads all of them: 1.2 GB/s. A base on the hub must have been fetched.
    """
    folder = _folder(base)
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin")) if folder else []
    if not files:
        return None
    digests = [(path.name, digest_of(path)) for path in files]
    return hashlib.sha256(repr(digests).encode()).hexdigest()[:16]


def digest_of(path: Path) -> str:
    """The sha256 of a file; OSError where it cannot be read.

    It is noted in the user's cache, and read there as long as the file has the same place, size and time of its last
    change: reading the weights again would take longer than an answer.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        marks = (os.path.realpath(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        note = _notes() / hashlib.sha256(repr(marks).encode()).hexdigest()[:32]
        if status.st_size < _NOTED_BYTES:
            return sha256_of(descriptor)
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if re.fullmatch(r"[0-9a-f]{64}", known := note.read_text()):
                return known
        digest = sha256_of(descriptor)
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            _write_note(note, digest)
        return digest
    finally:
        os.close(descriptor)


def _notes() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrine" / "digests"


def _write_note(note: Path, digest: str) -> None:
    """Writes a note where that is possible: without it, the file is read again the next time."""
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary = note.with_name(f".{note.name}.{os.getpid()}.tmp")
        temporary.write_text(digest)
        os.replace(temporary, note)


def _folder(base: str) -> Path | None:
    if os.path.isdir(base):
        return Path(base)
    from huggingface_hub import try_to_load_from_cache  # most bases are folders

    try:
        found = try_to_load_from_cache(base, "config.json")
    except ValueError:
        return None  # not a name that the hub allows: loading reports it
    return Path(found).parent if isinstance(found, str) else None
