"""Commands that run beside each other, each in a place of its own, such as a GPU; none of them waits for another."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from signal import SIGPIPE, SIGTERM
from types import FrameType
from typing import IO

from command.caller import STOPPED, report
from command.signals import handling_signals
from launch.processes import run_explaining


@dataclass(frozen=True)
class Job:
    """A command; its label stands before every line that it prints, and in messages about it."""

    label: str
    argv: list[str]


class Pool:
    """Runs jobs, as many at a time as there are places. A job that fails does not stop the others; a signal stops all.

    A place is the environment variables that a job finds there. `on_begin` and `on_end` get the number of the job, and
    `on_end` its exit code, unless a signal ended it. One call is made at a time.
    """

    def __init__(
        self,
        places: Sequence[Mapping[str, str]],
        *,
        on_begin: Callable[[int], None],
        on_end: Callable[[int, int], None],
    ) -> None:
        self._places = places
        self._on_begin, self._on_end = on_begin, on_end
        self._lock = threading.Lock()  # of the callbacks and of what follows
        self._processes: set[subprocess.Popen[str]] = set()
        self._signal: int | None = None

    def run(self, jobs: Sequence[Job]) -> int | None:
        """Runs all jobs; returns the number of the signal that stopped them, if one did."""
        left = iter(enumerate(jobs))
        threads = [threading.Thread(target=self._work, args=(left, place)) for place in self._places]
        with handling_signals(self._stop):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return self._signal

    def _work(self, left: Iterator[tuple[int, Job]], place: Mapping[str, str]) -> None:
        """Runs one job after the other in a place."""
        while True:
            with self._lock:
                number, job = next(left, (0, None))
                if job is None or self._signal is not None:
                    return
                self._on_begin(number)
            code = run_explaining(
                partial(self._run, label=job.label),
                job.argv,
                command=job.label,
                environment=place,
                advice="; --resume goes on with it",
            )
            with self._lock:
                if self._signal is None or code == 0:
                    self._on_end(number, code)

    def _run(self, argv: list[str], environment: Mapping[str, str], *, label: str) -> int:
        process = subprocess.Popen(
            argv,
            # Lines come when they are printed, though not to a terminal, and in an encoding that we know.
            env={**environment, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,  # or Ctrl-C would reach it before `_stop`
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        assert process.stdout, "a pipe"
        assert process.stderr, "a pipe"
        self._processes.add(process)
        if self._signal is not None:  # it came before the process was known
            _end(process)
        errors = threading.Thread(target=self._pass_on, args=(process.stderr, sys.stderr, label))
        errors.start()
        self._pass_on(process.stdout, sys.stdout, label)
        errors.join()
        code = process.wait()
        self._processes.discard(process)
        if self._signal is not None:
            report(128 + self._signal, STOPPED, environment)  # so that nobody asks why it ended
        return 128 - code if code < 0 else code

    def _pass_on(self, lines: IO[str], stream: IO[str], label: str) -> None:
        """Prints each line after the label, in one write: several jobs print at the same time.

        Where nobody reads what is printed any more, all jobs stop.
        """
        try:
            for line in lines:
                stream.write(f"{label}: {line.rstrip()}\n")
                stream.flush()
        except BrokenPipeError:
            self._stop(SIGPIPE, None)
            for _ in lines:  # or the job would wait for a reader, and never end
                pass

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._signal = number
        for process in list(self._processes):
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, SIGTERM)
