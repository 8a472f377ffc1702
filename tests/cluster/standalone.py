"""Spark's own cluster: a master and workers as processes, each with an address of its own and none of our code."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyspark

from tests.cluster.network import Machine, Network
from tests.spark_jobs.processes import MARK, Run

ROOT: Final = Path(__file__).resolve().parents[2]
SPARK_HOME: Final = Path(pyspark.__file__).parent
SITE_PACKAGES: Final = SPARK_HOME.parent
_MASTER_PORT: Final = 7077
_WITHIN_S: Final = 60
_STOPS_WITHIN_S: Final = 15


@dataclass
class Worker:
    """A machine of the cluster, and the process that starts executors there."""

    machine: Machine
    process: "subprocess.Popen[bytes] | None" = None

    def kill(self) -> None:
        """With its executor, at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


@dataclass
class Cluster:
    """A master at our own address, and workers on machines of their own."""

    network: Network
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    @property
    def master(self) -> str:
        """As `--on` takes it."""
        return f"spark://{self.network.address}:{_MASTER_PORT}"

    def start(self, worker: Worker) -> None:
        """Begins, and waits until the master knows it."""
        log = self.folder / f"worker-{worker.machine.address}.log"
        before = self._registered(worker)
        worker.process = _start(
            [
                *(*worker.machine.inside, *_class_of("worker.Worker"), "--host", worker.machine.address),
                *("--cores", "1", "--memory", "1500m", "--webui-port", "0"),
                *("--work-dir", str(self.folder / worker.machine.address)),
                self.master,
            ],
            log,
            cwd=self.folder,
        )
        _wait_until(lambda: self._registered(worker) > before, log)

    def start_all(self) -> None:
        """Begins those that were killed, and ends every cut."""
        for worker in self.workers:
            worker.machine.mend()
            if worker.process is None:
                self.start(worker)

    def _registered(self, worker: Worker) -> int:
        told = (self.folder / "master.log").read_text(errors="replace")
        return told.count(f"Registering worker {worker.machine.address}:")


@contextmanager
def cluster(network: Network, folder: Path) -> Iterator[Cluster]:
    """A cluster with a worker of one core on each machine of this network."""
    made = Cluster(network, folder)
    with ExitStack() as tidying:
        log = folder / "master.log"
        master = _start(
            [*_class_of("master.Master"), "--host", network.address, "--port", str(_MASTER_PORT), "--webui-port", "0"],
            log,
            cwd=folder,
        )
        tidying.callback(Worker(network.machines[0], master).kill)
        _wait_until(lambda: "I have been elected leader" in log.read_text(errors="replace"), log)
        for machine in network.machines:
            worker = Worker(machine)
            tidying.callback(worker.kill)
            made.workers.append(worker)
            made.start(worker)
        yield made


@dataclass(frozen=True)
class Job:
    """A preparation that was sent to a cluster, or runs here."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def wait(self, within_s: float = 240) -> int:
        """Its exit code."""
        return self.process.wait(within_s)

    def said(self) -> list[str]:
        """Lines on its stderr but those of progress."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if not line.startswith(("reading", "writing", "prepare"))]


def bare_python() -> tuple[str, ...]:
    """Options by which workers find third-party packages, and not this project: it stands in no folder named here."""
    return (
        f"--conf=spark.pyspark.python={Path(sys.base_prefix, 'bin', f'python3.{sys.version_info[1]}')}",
        f"--conf=spark.executorEnv.PYTHONPATH={SITE_PACKAGES}",  # in which the links of editable projects do nothing
    )


@contextmanager
def submit(
    arguments: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str],
    address: str = "",
    command: Sequence[str] = (sys.executable, "-m", "launch.cli", "prepare"),
) -> Iterator[Job]:
    """Begins `vitrine prepare`, or another command, with these arguments; `address` is ours for the cluster.

    Where it still runs at the end of the body, it is stopped with all of its processes; where it has ended, it must
    have left none.
    """
    local, mark = {"SPARK_LOCAL_IP": address} if address else {}, {MARK: f"vitrine-test-{uuid.uuid4().hex}"}
    process = _start(
        [*command, *arguments], log, cwd=log.parent, environment={**os.environ, **local, **environment, **mark}
    )
    run = Run(process, log.parent, log, mark[MARK])
    try:
        yield Job(process, log)
        if process.poll() is not None:
            run.wait_for_nobody()
    finally:
        _end(run)


def _end(run: Run) -> None:
    run.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        run.process.wait(_STOPS_WITHIN_S)
    while left := run.pids():
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        run.process.poll()  # or it would be left as a zombie
        time.sleep(0.05)


def _class_of(name: str) -> list[str]:
    return [str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}"]


def _start(
    command: Sequence[str], log: Path, *, cwd: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    # Of ours, a daemon gets what it needs to start and nothing else.
    bare = {name: os.environ[name] for name in ("PATH", "JAVA_HOME", "LANG") if name in os.environ}
    bare |= {"SPARK_HOME": str(SPARK_HOME), "HOME": str(log.parent), "SPARK_DAEMON_MEMORY": "256m"}
    bare["SPARK_DAEMON_JAVA_OPTS"] = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    with log.open("ab") as file:
        return subprocess.Popen(
            command, cwd=cwd, env=environment or bare, stdout=file, stderr=file, start_new_session=True
        )


def _wait_until(is_true: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + _WITHIN_S
    while not is_true():
        assert time.monotonic() < end, log.read_text(errors="replace")[-2000:]
        time.sleep(0.1)
