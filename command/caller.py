"""What a command, and the processes that it starts through a launcher, tell each other: that it lives, why they ended.

The command makes a file, and names it in the environment. It has a lock on another one beside it, which the kernel
gives back however it ends. In the first one lies the exit code of whoever ended by a user's mistake, or of the command
that was told to stop, and below it what was said about it: several ranks may meet the same.
"""

import contextlib
import fcntl
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

CALLER: Final = "VITRINE_CALLER_FILE"


@contextlib.contextmanager
def calling() -> Iterator[Path]:
    """The file that the processes are to be told of by `CALLER`."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        with _lock_of(told).open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield told


def told_code(told: Path) -> int | None:
    """The exit code that was left first, if one was."""
    return int(told.read_text().partition("\n")[0]) if told.exists() else None


def is_told() -> bool:
    """Whether a process of this command, or the command, has said why it ends."""
    return CALLER in os.environ and Path(os.environ[CALLER]).exists()


def tell(code: int, text: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Leaves it to the command, if there is one; whether no other process has said so before."""
    if CALLER not in environment:
        return True
    with open(environment[CALLER], "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        _, *before = file.read().split("\0")
        if not before:
            file.write(f"{code}\n")
        file.write(f"\0{text}")
        return text not in before


def tell_crash() -> None:
    """Leaves to the command, if there is one, that a process says itself how it failed."""
    if CALLER in os.environ:
        _crash_of(Path(os.environ[CALLER])).touch()


def is_crash_told(told: Path) -> bool:
    """Whether a process of the command has said how it failed, though not by a user's mistake."""
    return _crash_of(told).exists()


def end_with_caller() -> None:
    """From now on, this process ends as soon as its command is gone. Costs a thread that sleeps."""
    if CALLER in os.environ:
        threading.Thread(target=_end_with, args=(_lock_of(Path(os.environ[CALLER])),), daemon=True).start()


def _end_with(lock: Path) -> None:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
    except OSError:
        return  # the environment is that of another machine
    os.kill(os.getpid(), signal.SIGKILL)  # what is written is whole or not there at any moment


def _crash_of(told: Path) -> Path:
    return told.with_name("crashed")


def _lock_of(told: Path) -> Path:
    return told.with_name("running")
