"""What a command and all its descendants use: wall time, CPU time, peak memory. Linux only.

    python -m bench.process_tree REPORT.json COMMAND ...

The measuring process adopts processes that outlive their parent, so the kernel adds up the CPU time of all processes
that were waited for. Processes whose parent ignores their end (Spark's Python workers do not wait for their children)
are read again and again instead.
Memory is PSS, in which pages that several processes share count once. RSS is read 20 times a second, which costs
nothing; the part of it that is shared, once a second, which takes the kernel 60 ms for a process of 5 GB.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

_INTERVAL_S: Final = 0.05
_LIST_INTERVAL_S: Final = 0.25  # listing all processes costs some milliseconds
_WEIGH_INTERVAL_S: Final = 1.0  # between two readings of PSS, at least
_WEIGH_SHARE: Final = 0.02  # of the time goes into them, at most
_STRAGGLE_S: Final = 20.0  # for processes that the command leaves behind
_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(frozen=True)
class Usage:
    """What one run of a command used."""

    wall_s: float  # until the command itself ended
    cpu_s: float
    peak_memory_bytes: int  # PSS of all processes together
    exit_code: int
    output: str = ""


def measure(command: Sequence[str], *, cwd: Path) -> Usage:
    """Runs the command under a measuring process of its own; `output` is its stdout and stderr together."""
    with tempfile.NamedTemporaryFile("r") as report:
        done = subprocess.run(
            [sys.executable, "-m", "bench.process_tree", report.name, *command],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        text = report.read()
    if not text:
        raise RuntimeError(f"the measuring process ended with code {done.returncode}:\n{done.stdout[-2000:]}")
    return Usage(**{**json.loads(text), "output": done.stdout})


def busy_s() -> float:
    """CPU time that all cores of this machine have spent so far on anything, other guests of its host included."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq + times.steal


def supervise(command: Sequence[str]) -> Usage:
    """Runs the command and reads its processes. From then on this process adopts orphans, and waits for any child."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt orphans")
    tree = _Tree()
    started = time.perf_counter()
    process = subprocess.Popen(command)
    ended = select.poll()
    ended.register(os.pidfd_open(process.pid), select.POLLIN)
    while not ended.poll(1000 * _INTERVAL_S):
        tree.sample()
    wall_s = time.perf_counter() - started
    exit_code = process.wait()
    _wait_for_stragglers(tree)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime + tree.unwaited_cpu_s(),
        peak_memory_bytes=tree.peak_memory_bytes,
        exit_code=exit_code,
    )


class _Tree:
    """The descendants of this process, read again and again."""

    def __init__(self) -> None:
        self.peak_memory_bytes = 0
        self._shared_bytes: dict[psutil.Process, int] = {}  # RSS less PSS of each living process, when last read
        self._has_no_waiter: dict[psutil.Process, bool] = {}  # of every process ever seen
        self._unwaited_cpu_s: dict[psutil.Process, float] = {}
        self._list_at = self._weigh_at = 0.0

    def sample(self) -> None:
        """Reads what is due. Some 0.1 ms, a few ms when processes are listed."""
        if time.monotonic() >= self._list_at:
            self._list()
            self._list_at = time.monotonic() + _LIST_INTERVAL_S
        if time.monotonic() >= self._weigh_at:
            self._weigh()
        memory_bytes = 0
        for process, shared_bytes in self._shared_bytes.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                memory_bytes += max(0, process.memory_info().rss - shared_bytes)
                if self._has_no_waiter[process]:
                    times = process.cpu_times()
                    own, waited_for = times.user + times.system, times.children_user + times.children_system
                    self._unwaited_cpu_s[process] = own + waited_for
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory_bytes)

    def unwaited_cpu_s(self) -> float:
        """CPU time of the processes that nobody waited for, when last read."""
        return sum(self._unwaited_cpu_s.values())

    def was_waited_for(self, pid: int) -> None:
        """The kernel has added the CPU time of this process to ours."""
        self._unwaited_cpu_s = {process: cpu_s for process, cpu_s in self._unwaited_cpu_s.items() if process.pid != pid}

    def _list(self) -> None:
        processes = psutil.Process().children(recursive=True)
        for process in processes:
            if process not in self._has_no_waiter:
                self._has_no_waiter[process] = _has_no_waiter(process)
                self._weigh_at = 0.0  # a new process halves what its parent has alone
        self._shared_bytes = {process: self._shared_bytes.get(process, 0) for process in processes}

    def _weigh(self) -> None:
        started = time.monotonic()
        for process in self._shared_bytes:
            with contextlib.suppress(psutil.NoSuchProcess):
                memory = process.memory_full_info()
                self._shared_bytes[process] = memory.rss - memory.pss
        now = time.monotonic()
        self._weigh_at = now + max(_WEIGH_INTERVAL_S, (now - started) / _WEIGH_SHARE)


def _has_no_waiter(process: psutil.Process) -> bool:
    """Whether the parent ignores the ends of its children, so that the kernel does not add up their CPU time."""
    try:
        status = Path(f"/proc/{process.ppid()}/status").read_text()
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return False
    ignored = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored, 16) >> (signal.SIGCHLD - 1) & 1)


def _wait_for_stragglers(tree: _Tree) -> None:
    """Waits for the processes that the command left behind, and ends them when they take too long."""
    deadline = time.monotonic() + _STRAGGLE_S
    while True:
        tree.sample()
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            tree.was_waited_for(pid)
            continue
        if time.monotonic() > deadline:
            for child in psutil.Process().children():
                child.kill()
        time.sleep(_INTERVAL_S)


def main(arguments: list[str]) -> None:
    """Measures the command and writes the report; the command's output goes to our stdout and stderr."""
    report, *command = arguments
    usage = asdict(supervise(command))
    del usage["output"]
    Path(report).write_text(json.dumps(usage))


if __name__ == "__main__":
    main(sys.argv[1:])
