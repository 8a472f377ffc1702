"""The figures of a process tree are the sums over its processes, however these are related."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.process_tree import Usage, measure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ROOT = Path(__file__).parents[2]
MB = 10**6
BURN_S = 0.4  # of CPU time, by each process that burns

HELPERS = f"""
import os, signal, sys, time

def burn():
    while time.process_time() < {BURN_S}:
        pass

def child(work):
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    return pid

def hold(megabytes, seconds=1.5):
    held = b"x" * (megabytes * 10**6)
    time.sleep(seconds)
"""


def run(code: str) -> Usage:
    usage = measure([sys.executable, "-c", HELPERS + textwrap.dedent(code)], cwd=ROOT)
    assert not usage.exit_code, usage.output
    return usage


FAMILIES = {
    "the command alone": (1, "burn()"),
    "a child that is waited for": (2, "pid = child(burn); burn(); os.waitpid(pid, 0)"),
    "children that nobody waits for": (
        3,
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN); child(burn); child(burn); burn(); time.sleep(1.5)",
    ),
    "an orphan that outlives the command": (2, "child(lambda: (burn(), time.sleep(0.5))); burn()"),
    "an orphan of a child": (2, "os.waitpid(child(lambda: child(burn)), 0); burn()"),
    "a child's child in a session of its own": (
        2,
        "os.waitpid(child(lambda: (os.setsid(), os.waitpid(child(burn), 0))), 0); burn()",
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_cpu_time_is_that_of_every_process_once(family: str) -> None:
    num_burning, code = FAMILIES[family]

    usage = run(code)

    # Each also starts, and the last tick before an unseen end may be lost.
    assert num_burning * (BURN_S - 0.1) < usage.cpu_s < num_burning * (BURN_S + 0.15) + 0.15


def test_wall_time_ends_with_the_command_not_with_its_orphans() -> None:
    usage = run("child(lambda: time.sleep(2))")

    assert usage.wall_s < 1.5


def test_memory_of_processes_adds_up() -> None:
    usage = run("pids = [child(lambda: hold(100)) for _ in range(3)]; [os.waitpid(pid, 0) for pid in pids]")

    assert 300 * MB < usage.peak_memory_bytes < 400 * MB


def test_memory_that_processes_share_counts_once() -> None:
    usage = run(
        """
        held = b"x" * (200 * 10**6)
        pids = [child(lambda: time.sleep(2)) for _ in range(3)]
        [os.waitpid(pid, 0) for pid in pids]
        """
    )

    assert 200 * MB < usage.peak_memory_bytes < 280 * MB


def test_peaks_of_processes_at_different_times_do_not_add_up() -> None:
    usage = run("for _ in range(3): os.waitpid(child(lambda: hold(100, seconds=0.6)), 0)")

    assert 100 * MB < usage.peak_memory_bytes < 190 * MB


def test_a_failed_command_gives_its_exit_code_and_output() -> None:
    usage = measure([sys.executable, "-c", "print('so far', flush=True); raise SystemExit('and no further')"], cwd=ROOT)

    assert usage.exit_code == 1
    assert usage.output.splitlines() == ["so far", "and no further"]


def test_a_command_that_cannot_start_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="No such file"):
        measure(["/no/such/command"], cwd=ROOT)


def test_the_measuring_process_leaves_nothing_running() -> None:
    usage = run("print(child(lambda: time.sleep(1)))")

    left = subprocess.run(["ps", "-p", usage.output.strip()], capture_output=True)
    assert left.returncode == 1
