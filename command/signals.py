"""What SIGINT and SIGTERM do to the command. Light on purpose: it is at work while the libraries load."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPPED: Final = "stopped; what was done so far is swept by the next run"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def exit_on_signals() -> None:
    """From now on a signal ends the process at once: for as long as there is nothing to tidy up."""
    for number in _SIGNALS:
        signal.signal(number, _exit)


@contextmanager
def raising_on_signals() -> Iterator[list[int]]:
    """In the body the first signal raises KeyboardInterrupt, and its number is in the list; later ones do nothing."""
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def code_of(number: int) -> int:
    """The exit code after this signal. SIGINT is told in a line; who sends SIGTERM speaks for himself."""
    if number == signal.SIGINT:
        print(STOPPED, file=sys.stderr, flush=True)
    return 128 + number


def _exit(number: int, _: FrameType | None) -> None:
    os._exit(code_of(number))
