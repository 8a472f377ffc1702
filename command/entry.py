"""How a command ends: its exit codes, and one line for each error."""

import atexit
import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Final, NoReturn

from command.caller import STOPPED, is_reported, report, report_crash
from command.signals import StoppedError
from command.terminal import escape_what_cannot_be_encoded
from contract.errors import UserError

USER_ERROR_CODE: Final = 2
INTERRUPTED_CODE: Final = 130
BROKEN_PIPE_CODE: Final = 141  # as of a process that SIGPIPE ends
DEBUG: Final = "VITRINE_DEBUG"


def exit_code(command: Callable[[], int | None]) -> int:
    """Runs a command for an entry point and returns its exit code: what it returns, else 0; 2 after a user's mistake.

    Where several processes work for one command, the first prints the error; the others end in silence. So does a
    command whose output nobody reads any more, such as `vitrine inspect data | head -3`.
    """
    escape_what_cannot_be_encoded()
    try:
        try:
            return _code_of(command)
        finally:
            sys.stdout.flush()  # what is left to be printed may find nobody who reads it
    except BrokenPipeError:
        report(BROKEN_PIPE_CODE, "")
        _print_no_more()
        return BROKEN_PIPE_CODE


def leave(code: int) -> NoReturn:
    """Ends the process with this exit code, as `sys.exit` does, but leaves its memory to the system.

    Python would first take all libraries apart, object by object: with those of Spark that takes 0.2 s.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def _code_of(command: Callable[[], int | None]) -> int:
    try:
        return command() or 0
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return INTERRUPTED_CODE
    except StoppedError as stopped:
        if report(128 + stopped.number, str(stopped)):
            print(stopped, file=sys.stderr)
        return 128 + stopped.number
    except BrokenPipeError:
        raise
    except Exception as error:
        text = str(error) if isinstance(error, UserError) else _full_disk_text(error)
        if os.environ.get(DEBUG) or not (text or is_reported()):
            report_crash()
            raise
        if text and report(USER_ERROR_CODE, text):
            print(f"error: {text}\n", end="", file=sys.stderr)  # one write: ranks may print at the same time
        return USER_ERROR_CODE


def _full_disk_text(error: BaseException | None) -> str | None:
    """What to do where a disk is full, which any library may meet; None for any other error."""
    while error and not any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT)):
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return (
        f"a disk is full ({error}): make room for the output, in {cache} (XDG_CACHE_HOME names another cache) and in"
        f" {tempfile.gettempdir()} (TMPDIR names another folder), then run again"
    )


def _print_no_more() -> None:
    """Gives what is still to be printed to nobody: at its end Python would print that it could not."""
    nobody = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with contextlib.suppress(OSError):  # a stream that is no file of the system
                os.dup2(nobody, stream.fileno())
