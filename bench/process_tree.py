"""What a command and all its descendants take: wall time, CPU time, peak memory. Linux only.

    python -m bench.process_tree REPORT.json COMMAND ...

The measuring process adopts whoever outlives its parent, so the kernel adds up the CPU time of all that were waited
for. Those whose parent ignores their end (Spark's Python workers do not wait for theirs) are followed in /proc.
Memory is PSS, so pages that several processes share count once: RSS is read 20 times a second, which costs nothing,
and what it counts twice once a second, which takes the kernel 60 ms for a process of 5 GB.
"""

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

_INTERVAL_S: Final = 0.05
_LIST_INTERVAL_S: Final = 0.25  # listing all processes costs some milliseconds
_WEIGH_INTERVAL_S: Final = 1.0
_WEIGH_SHARE: Final = 0.02  # of the time, at most
_STRAGGLE_S: Final = 20.0
_PR_SET_CHILD_SUBREAPER: Final = 36
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """What one run of a command took."""

    wall_s: float  # until the command itself ended
    cpu_s: float
    peak_memory_bytes: int  # PSS of all processes together
    exit_code: int
    output: str = ""


def measure(command: Sequence[str], *, cwd: Path) -> Usage:
    """Runs the command under a measuring process of its own; `output` is what it wrote to stdout and stderr."""
    with tempfile.NamedTemporaryFile("r") as report:
        done = subprocess.run(
            [sys.executable, "-m", "bench.process_tree", report.name, *command],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        told = report.read()
    if not told:
        raise RuntimeError(f"the measuring process ended with code {done.returncode}:\n{done.stdout[-2000:]}")
    return Usage(**{**json.loads(told), "output": done.stdout})


def supervise(command: Sequence[str]) -> Usage:
    """Runs the command and follows it. Changes this process for good: it adopts orphans and waits for any child."""
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
    """The descendants of this process, looked at again and again."""

    def __init__(self) -> None:
        self.peak_memory_bytes = 0
        self._counted_twice_bytes: dict[int, int] = {}  # of the RSS of each living process
        self._has_no_waiter: dict[int, bool] = {}  # of every process ever seen
        self._unwaited_ticks: dict[int, int] = {}
        self._list_at = self._weigh_at = 0.0

    def sample(self) -> None:
        """Brings everything up to date. Some 0.1 ms, 2 ms when processes are listed."""
        if time.monotonic() >= self._list_at:
            self._list()
            self._list_at = time.monotonic() + _LIST_INTERVAL_S
        if time.monotonic() >= self._weigh_at:
            self._weigh()
        memory_bytes = 0
        for pid, counted_twice_bytes in self._counted_twice_bytes.items():
            memory_bytes += max(0, _rss_bytes(pid) - counted_twice_bytes)
            if self._has_no_waiter[pid] and (stat := _stat(pid)):
                self._unwaited_ticks[pid] = sum(map(int, stat[11:15]))  # its own and of those that it waited for
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory_bytes)

    def unwaited_cpu_s(self) -> float:
        """CPU time of the processes that nobody waited for, as last seen."""
        return _TICK_S * sum(self._unwaited_ticks.values())

    def was_waited_for(self, pid: int) -> None:
        """The kernel has added this process to ours."""
        self._unwaited_ticks.pop(pid, None)

    def _list(self) -> None:
        parents = {
            int(name): int(stat[1]) for name in os.listdir("/proc") if name.isdigit() and (stat := _stat(int(name)))
        }
        found = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        pids = found - {os.getpid()}
        for pid in pids - self._has_no_waiter.keys():
            self._has_no_waiter[pid] = _ignores_children(parents[pid])
            self._weigh_at = 0.0  # a new process halves what its parent has alone
        self._counted_twice_bytes = {pid: self._counted_twice_bytes.get(pid, 0) for pid in pids}

    def _weigh(self) -> None:
        started = time.monotonic()
        self._counted_twice_bytes = {pid: _counted_twice_bytes(pid) for pid in self._counted_twice_bytes}
        now = time.monotonic()
        self._weigh_at = now + max(_WEIGH_INTERVAL_S, (now - started) / _WEIGH_SHARE)


def _wait_for_stragglers(tree: _Tree) -> None:
    """Waits for those that the command left behind, and ends them when they take too long."""
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
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        time.sleep(_INTERVAL_S)


def _read(path: str) -> str:
    """A file of /proc, or nothing where the process has gone."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on: the name before it may hold blanks and brackets."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _ignores_children(pid: int) -> bool:
    masks = [line.split()[1] for line in _read(f"/proc/{pid}/status").splitlines() if line.startswith("SigIgn:")]
    return bool(masks) and bool(int(masks[0], 16) >> (signal.SIGCHLD - 1) & 1)


def _rss_bytes(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE_BYTES if fields else 0


def _counted_twice_bytes(pid: int) -> int:
    """What of a process's RSS other processes hold too, and is theirs to count."""
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("Rss:", "Pss:"))}
    return sizes["Rss:"] - sizes["Pss:"] if sizes else 0


def main(arguments: list[str]) -> None:
    """Measures and reports; the command's own output goes where ours goes."""
    report, *command = arguments
    usage = asdict(supervise(command))
    del usage["output"]
    Path(report).write_text(json.dumps(usage))


if __name__ == "__main__":
    main(sys.argv[1:])
