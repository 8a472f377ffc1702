"""Progress of anything that takes more than a few seconds: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Final, TextIO

from command.quantities import format_duration

_BAR_INTERVAL_S: Final = 0.1
_LINE_INTERVAL_S: Final = 10.0


class ProgressBar:
    """Prints how far a job is, at most ten times a second on a terminal and once in ten seconds elsewhere."""

    def __init__(self, label: str, *, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._started = self._printed = time.monotonic()
        self._width = 0

    def show(self, share: float, detail: str = "") -> None:
        """Prints the share of the work that is done, from 0 to 1, with the time left and this detail."""
        now = time.monotonic()
        if now - self._printed < (_BAR_INTERVAL_S if self._is_terminal else _LINE_INTERVAL_S):
            return
        self._printed = now
        elapsed_s = now - self._started
        eta = f", {format_duration(elapsed_s / share - elapsed_s)} left" if share > 0.02 else ""
        self._print(f"{self._label} {share:4.0%}{eta}{'  ' if detail else ''}{detail}")

    def done(self, detail: str) -> None:
        """Prints the last line, whenever the line before was printed."""
        self._print(f"{self._label} {detail} in {format_duration(time.monotonic() - self._started)}")
        if self._is_terminal:
            self._stream.write("\n")

    def _print(self, line: str) -> None:
        if self._is_terminal:
            self._stream.write(f"\r{line:<{self._width}}")
            self._width = len(line)
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()
