"""Requests to storage that stumbles: made again after growing pauses, for up to PATIENCE_S seconds."""

import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from contract import store_errors
from contract.errors import UserError, first_line

PATIENCE_S: Final = 300.0  # from the first try to the start of the last one
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 20.0

Answer = TypeVar("Answer")


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


def insist(request: Callable[[], Answer], *, what: str, stop: threading.Event) -> Answer:
    """The answer to a request, which is made again after an error that may pass; pauses double, half of each is random.

    The request's own error where a file is missing or is a folder. UserError at once where trying again is of no use,
    and after `PATIENCE_S` seconds. StoppedError as soon as `stop` is set or the interpreter exits.
    """
    began, pause, tries = time.monotonic(), _FIRST_PAUSE_S, 0
    while True:
        tries += 1
        try:
            return request()
        except store_errors.read_errors() as error:
            if store_errors.is_hopeless(error):
                raise UserError(f"{what} cannot be read: {first_line(error)}") from error
            if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
                raise
            waited = time.monotonic() - began
            if waited + pause > PATIENCE_S:
                raise UserError(
                    f"{what} cannot be read: {tries} tries in {waited:.0f} s, the last one ended with"
                    f" {first_line(error)!r}; see to the storage, then go on with --resume"
                ) from error
        wait(pause * random.uniform(0.5, 1), stop)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def wait(seconds: float, stop: threading.Event) -> None:
    """Returns after so many seconds; StoppedError as soon as nobody waits for the answer any more."""
    ends = time.monotonic() + seconds
    while is_awaited(stop):
        left = ends - time.monotonic()
        if left <= 0:
            return
        stop.wait(min(left, 0.1))
    raise StoppedError


def is_awaited(stop: threading.Event) -> bool:
    """Whether the consumer still waits for a thread's answer. An interpreter that exits waits for its threads."""
    return not stop.is_set() and threading.main_thread().is_alive()
