"""On a cluster Spark runs slow tasks a second time, and takes whichever attempt ends first."""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyspark
import pytest

from contract.manifest import read_manifest
from tests.spark_jobs.catalogues import catalogue, check_files, write
from tests.spark_jobs.conftest import Prepare
from tests.spark_jobs.processes import KILLS, ROOT
from tests.spark_jobs.speculation import SETTINGS, SLOW_STEPS

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.spark,
    pytest.mark.skipif(KILLS == 1, reason="takes a minute: where VITRINE_KILLS asks for more than one kill"),
]

_ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(ROOT),
    "PYSPARK_PYTHON": sys.executable,
    "SPARK_NO_DAEMONIZE": "1",
    "SPARK_DAEMON_MEMORY": "256m",
}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a cluster of two workers. Of two hosts: Spark runs no task twice on one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"spark://127.0.0.1:{port}"
    with ExitStack() as stack:
        _start(stack, "master.Master", "--host", "127.0.0.1", "--port", str(port))
        _wait_for_master(port)
        for host in ("127.0.0.1", "127.0.0.2"):
            _start(
                *(stack, "worker.Worker", "--host", host, "--cores", "1", "--memory", "600M"),
                *("--work-dir", str(tmp_path / host), address),
            )
        yield address


def _start(stack: ExitStack, name: str, *arguments: str) -> None:
    program = Path(pyspark.__file__).parent / "bin" / "spark-class"
    command = [str(program), f"org.apache.spark.deploy.{name}", "--webui-port", "0", *arguments]
    process = subprocess.Popen(command, env=_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)


def _wait_for_master(port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError("no master")


def test_tasks_that_run_twice_change_nothing(run: Prepare, tmp_path: Path, cluster: str) -> None:
    source = write(tmp_path / "in.json", catalogue(300))
    expected = run(source, tmp_path / "expected", **SETTINGS)
    marks = tmp_path / "marks"
    marks.mkdir()
    command = [sys.executable, "-m", "tests.spark_jobs.speculation", cluster, str(source), str(tmp_path / "out")]
    done = subprocess.run([*command, str(marks)], cwd=ROOT, env=_ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2_000:]
    attempts = Counter(path.name.rpartition("-")[0] for path in marks.iterdir())
    for step in SLOW_STEPS:
        assert {f"{step}-0-0", f"{step}-0-1"} <= attempts.keys(), f"one attempt was not made or not ended: {attempts}"
    manifest = read_manifest(str(tmp_path / "out"))
    assert (manifest.dataset_id, manifest.rows, manifest.rejected) == (
        expected.dataset_id,
        expected.rows,
        expected.rejected,
    )
    check_files(tmp_path / "out", manifest)
