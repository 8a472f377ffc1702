"""A worker caught in the midst of a task: its executor is halted, and what it has logged says that the task runs."""

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.standalone import Cluster, Job, Worker

STAGES: Final = ("reading", "staging", "writing")  # one of Spark's each, in this order
_TASK: Final = r"Executor: {} task (\d+\.\d+ in stage {}\.\d+)"
_DRAIN_S: Final = 0.1  # what a halted executor has said is in its log by then: the worker's process copies it


@dataclass(frozen=True)
class Caught:
    """A worker whose executor is halted in this task; the cluster's driver has not heard of the task's end."""

    worker: Worker
    task: str
    executor: int
    application: str

    def go_on(self) -> None:
        """Its executor goes on."""
        os.kill(self.executor, signal.SIGCONT)


def applications(cluster: Cluster) -> set[str]:
    """Names of all that have had executors."""
    return {path.name for path in cluster.folder.glob("*/app-*")}


def catch(job: Job, stage: str, cluster: Cluster, *, known: set[str], after: int) -> Caught:
    """A worker in a task of this stage, when the stage has finished so many tasks.

    `known` are the applications that were there before the job.
    """
    while job.process.poll() is None:
        time.sleep(0.01)
        for application in applications(cluster) - known:
            done = [_tasks("Finished", stage, log) for log in _logs(cluster, application)]
            if sum(map(len, done)) < after:
                continue
            for worker in cluster.workers:
                if caught := _halt_in_task(worker, stage, cluster.folder / worker.machine.address / application):
                    return caught
    raise AssertionError(f"the job was over before a worker was caught {stage}: {job.said()}")


def is_run_again(caught: Caught, stage: str, cluster: Cluster) -> bool:
    """Whether a task of this stage was begun once more, as none is where nothing has befallen it."""
    begun = [task for log in _logs(cluster, caught.application) for task in _tasks("Running", stage, log)]
    return any(not re.fullmatch(r"\d+\.0 in stage \d+\.0", task) for task in begun)


def _halt_in_task(worker: Worker, stage: str, folder: Path) -> Caught | None:
    """The worker with its executor halted, or untouched where it runs no task of this stage."""
    if not _running(stage, folder):
        return None
    for executor in _executors(worker, folder.name):
        os.kill(executor, signal.SIGSTOP)
        time.sleep(_DRAIN_S)
        if running := _running(stage, folder):
            return Caught(worker, running.pop(), executor, folder.name)
        os.kill(executor, signal.SIGCONT)
    return None


def _executors(worker: Worker, application: str) -> list[int]:
    assert worker.process is not None
    command = ["pgrep", "-P", str(worker.process.pid), "-f", f"CoarseGrainedExecutorBackend.*{application}"]
    return [int(pid) for pid in subprocess.run(command, capture_output=True, text=True).stdout.split()]


def _running(stage: str, folder: Path) -> set[str]:
    logs = sorted(folder.glob("*/stderr"), key=lambda path: int(path.parent.name))[-1:]  # the last executor's
    return {task for log in logs for task in _tasks("Running", stage, log) - _tasks("Finished", stage, log)}


def _tasks(what: str, stage: str, log: Path) -> set[str]:
    return set(re.findall(_TASK.format(what, STAGES.index(stage)), log.read_text(errors="replace")))


def _logs(cluster: Cluster, application: str) -> list[Path]:
    return list(cluster.folder.glob(f"*/{application}/*/stderr"))
