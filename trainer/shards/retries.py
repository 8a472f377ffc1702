"""Requests to storage that stumbles: made again after growing pauses, for so long."""

import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from contract import storage
from contract.errors import UserError

PATIENCE_S: Final = 300.0  # from the first try to the start of the last one
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 20.0

Answer = TypeVar("Answer")


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


def insist(request: Callable[[], Answer], *, what: str, stop: threading.Event) -> Answer:
    """What the request returns, made again where what it raises may pass; pauses double, and half of each is random.

    Where a file is missing or is none, the error as it is. UserError at once where trying is of no use, and after
    `PATIENCE_S` seconds of it. StoppedError as soon as `stop` is set or the interpreter exits.
    """
    began, pause, tries = time.monotonic(), _FIRST_PAUSE_S, 0
    while True:
        tries += 1
        try:
            return request()
        except storage.read_errors() as error:
            if storage.is_hopeless(error):
                raise UserError(f"{what} cannot be read: {describe(error)}") from error
            if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
                raise
            waited = time.monotonic() - began
            if waited + pause > PATIENCE_S:
                raise UserError(
                    f"{what} cannot be read: {tries} tries in {waited:.0f} s, the last one ended with"
                    f" {describe(error)!r}; see to the storage, then go on with --resume"
                ) from error
        wait(pause * random.uniform(0.5, 1), stop)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def wait(seconds: float, stop: threading.Event) -> None:
    """Returns after so many seconds; StoppedError where nobody waits for what follows."""
    ends = time.monotonic() + seconds
    while is_awaited(stop):
        left = ends - time.monotonic()
        if left <= 0:
            return
        stop.wait(min(left, 0.1))
    raise StoppedError


def is_awaited(stop: threading.Event) -> bool:
    """Whether the consumer still wants what a thread is doing. An interpreter that exits waits for its threads."""
    return not stop.is_set() and threading.main_thread().is_alive()


def describe(error: Exception) -> str:
    """An error in one line; some have no text."""
    return str(error).partition("\n")[0] or type(error).__name__
