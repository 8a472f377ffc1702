"""Trainings in processes of their own, by the command that a user gives, to be killed and resumed.

Kills are few by default; VITRINE_KILLS=30 makes so many.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.spark_jobs.processes import MARK, ROOT, Run

KILLS: Final = int(os.environ.get("VITRINE_KILLS", "3"))
LONGEST_S: Final = 240  # of a training; it takes 20, most of them to start


@dataclass(frozen=True)
class Training(Run):
    """A training at work. Its output is the folder of the run."""

    def kill(self) -> None:
        """SIGKILL to all of its processes, until none is left."""
        while pids := self.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.02)
        self.process.wait(LONGEST_S)

    def finish(self) -> int:
        """Its exit code, once nothing of it is left; a training that hangs is killed, and fails the test."""
        try:
            code = self.process.wait(LONGEST_S)
        finally:
            if self.process.poll() is None:
                self.kill()
        self.wait_for_nobody()
        return code

    def text(self) -> str:
        """All that it said."""
        return self.log.read_text(errors="replace")


def launch(module: str, *options: str, run: Path, num_processes: int = 0, **environment: str) -> Training:
    """Begins a module of ours, or with `num_processes` a training of so many ranks on the CPU."""
    mark = f"vitrine-test-{uuid.uuid4().hex}"
    command = [sys.executable, "-m", module, *options]
    if num_processes:
        command += ["--run", str(run), "--num-processes", str(num_processes), "--cpu"]
        command += ["--", "--main_process_port", str(free_port())]
    log = run.parent / f"{run.name}.log"
    environment = os.environ | environment | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", MARK: mark}
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )
    return Training(process, run, log, mark)


def free_port() -> int:
    """One that nobody listens on just now: tests of several checkouts may run at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
