"""How a command's processes stop by SIGINT and SIGTERM.

Light on purpose: it is at work while the libraries load.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from signal import SIGINT, SIGTERM
from types import FrameType
from typing import Any, Final

STOPPED: Final = "stopped; the next run deletes what this one left unfinished"
_PASSED_ON_WITHIN_S: Final = 1.0


@contextmanager
def handling_signals(
    handler: Callable[[int, FrameType | None], Any], *, numbers: Sequence[int] = (SIGINT, SIGTERM)
) -> Iterator[None]:
    """While the body runs, these signals call `handler`; afterwards they do what they did before."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def raising_on_signals() -> Iterator[list[int]]:
    """While the body runs, the first signal raises KeyboardInterrupt. Yields the list of all that were received."""
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            raise KeyboardInterrupt

    with handling_signals(stop):
        yield received


class StoppedError(Exception):
    """A job that has stopped by itself after a signal; the text says where, and how to go on."""

    def __init__(self, text: str, *, number: int) -> None:
        super().__init__(text)
        self.number = number


@contextmanager
def stopping_by_itself(say: str) -> Iterator[Callable[[], int | None]]:
    """While the body runs, a signal only prints this line. Yields what returns the signal, once there was one.

    The body then stops by itself. A further signal, from a second later on, ends the process at once: until then, a
    launcher may pass on the signal that the terminal has sent to all processes.
    """
    received: list[tuple[int, float]] = []

    def note(number: int, _: FrameType | None) -> None:
        if not received:
            received.append((number, time.monotonic()))
            os.write(2, say.encode())  # a stream may be in use at this very moment
        elif time.monotonic() - received[0][1] > _PASSED_ON_WITHIN_S:
            os._exit(128 + number)

    def received_number() -> int | None:
        return received[0][0] if received else None

    if threading.current_thread() is not threading.main_thread():  # only the main thread handles signals
        yield received_number
        return
    with handling_signals(note):
        yield received_number


@contextmanager
def holding_signals() -> Iterator[None]:
    """Signals wait for the end of the body. Processes that the body starts leave Ctrl-C to this one."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread handles signals
        yield
        return
    held: list[int] = []
    # A mask alone does not hold a signal: the kernel may give it to another thread, one of numpy's for instance.
    with handling_signals(lambda number, _: held.append(number)):
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    if held:
        signal.raise_signal(held[0])


def restore_signals() -> None:
    """From now on signals do in this process what they do in any other. For one that was just forked."""
    for number in (SIGINT, SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def exit_on_signals() -> None:
    """From now on a signal ends the process at once. For the time before there is anything to tidy up."""
    for number in (SIGINT, SIGTERM):
        signal.signal(number, lambda number, _: os._exit(code_of(number)))


def code_of(number: int) -> int:
    """The exit code after this signal. After SIGINT it prints a line; whoever sends SIGTERM says why himself."""
    if number == SIGINT:
        print(STOPPED, file=sys.stderr, flush=True)
    return 128 + number
