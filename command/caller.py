"""Channel between the `vitrine` command and the processes it launches: a lock for liveness, a file for how they ended.

The command makes a folder and names the file `report` in it by an environment variable. It locks a second file there;
the kernel releases that lock however the command ends. The report holds the exit code of the first process that ended
by a user's mistake or a stop, and below it each message once: several ranks may meet the same error.
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
STOPPED: Final = "stopped"  # what is reported and printed where a signal ended a command
_CRASHED: Final = "crashed"
_LOCK: Final = "running"


@contextlib.contextmanager
def calling() -> Iterator[Path]:
    """Yields the path of the report, which the launched processes find in the environment variable `CALLER`."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / _LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder) / "report"


def reported_code(path: Path) -> int | None:
    """The exit code that was reported first, or None."""
    return int(path.read_bytes().partition(b"\n")[0]) if path.exists() else None


def is_reported() -> bool:
    """Whether the command or one of its processes has reported why it ends."""
    return CALLER in os.environ and Path(os.environ[CALLER]).exists()


def report(code: int, text: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Reports an ending to the command, if there is one. Returns whether this text was not reported before."""
    if CALLER not in environment:
        return True
    with open(environment[CALLER], "a+", encoding="utf-8", errors="surrogatepass") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        _, *before = file.read().split("\0")
        if not before:
            file.write(f"{code}\n")
        file.write(f"\0{text}")
        return text not in before


def is_explained(environment: Mapping[str, str]) -> bool:
    """Whether a process of the command has printed what became of its work, after `STOPPED` was reported for it."""
    return CALLER in environment and Path(environment[CALLER]).read_bytes().count(b"\0") > 1


def report_crash() -> None:
    """Reports to the command, if there is one, that this process has failed and prints the reason itself."""
    if CALLER in os.environ:
        Path(os.environ[CALLER]).with_name(_CRASHED).touch()


def is_crash_reported(path: Path) -> bool:
    """Whether a process of the command has failed, other than by a user's mistake, and printed the reason."""
    return path.with_name(_CRASHED).exists()


def end_with_caller() -> None:
    """From now on, this process ends as soon as its command is gone. Costs a thread that sleeps."""
    if CALLER in os.environ:
        lock = Path(os.environ[CALLER]).with_name(_LOCK)
        threading.Thread(target=_end_when_unlocked, args=(lock,), daemon=True).start()


def _end_when_unlocked(lock: Path) -> None:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
    except OSError:
        return  # the environment variable is that of another machine
    os.kill(os.getpid(), signal.SIGKILL)  # safe at any moment: files appear under their names only when whole
