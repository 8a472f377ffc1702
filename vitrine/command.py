"""Runs a command in a process of its own, shows its progress, and raises what it ends with."""

import sys
from collections import deque
from collections.abc import Sequence
from signal import SIGINT
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from tempfile import TemporaryFile
from typing import IO, Final

from command.entry import INTERRUPTED_CODE, USER_ERROR_CODE
from contract.errors import UserError
from vitrine.progress import open_progress

_LAST_LINES: Final = 20
_ERROR: Final = "error: "


class CommandError(RuntimeError):
    """A command ended by a crash, a signal or lack of memory; the text holds the last lines that it printed."""


def run_command(name: str, argv: Sequence[str]) -> str:
    """What the command printed for programs, on its standard output. Its progress and notes are shown meanwhile.

    UserError where it ends by a user's mistake, KeyboardInterrupt where it is interrupted, else CommandError. An
    interrupt of this process reaches the command, which is then waited for.
    """
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
        _run(name, argv, stdout=printed, stderr=PIPE)
        printed.seek(0)
        return printed.read()


def show_command(name: str, argv: Sequence[str]) -> None:
    """Runs a command that prints only for people: all its lines are shown. Errors are those of `run_command`."""
    _run(name, argv, stdout=PIPE, stderr=STDOUT)


def _run(name: str, argv: Sequence[str], *, stdout: int | IO[str], stderr: int) -> None:
    """Shows the lines of the one stream that is a pipe."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with open_progress(f"vitrine {name}") as progress:
        process = Popen(
            [sys.executable, "-m", "launch.cli", name, *argv],
            stdin=DEVNULL,
            stdout=stdout,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
        )
        lines = process.stdout or process.stderr
        assert lines is not None
        with process:
            try:
                for line in lines:
                    last.append(line.rstrip())
                    if not line.startswith(_ERROR):
                        progress.show(line.rstrip())
            except KeyboardInterrupt:
                process.send_signal(SIGINT)
                process.wait()
                raise
        progress.done(process.returncode == 0)
    if process.returncode == 0:
        return
    if process.returncode == USER_ERROR_CODE:
        errors = [line.removeprefix(_ERROR) for line in last if line.startswith(_ERROR)]
        raise UserError(errors[-1] if errors else "\n".join(last))
    if process.returncode == INTERRUPTED_CODE:
        raise KeyboardInterrupt
    raise CommandError(f"vitrine {name} ended with exit code {process.returncode}:\n" + "\n".join(last))
