"""The image's entry point starts the parts of a Spark cluster, also as Spark's Kubernetes scheduler asks for them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pyspark
import pytest

from contract.manifest import read_manifest
from launch import cli

ROOT = Path(__file__).parents[2]
SPARK_HOME = Path(pyspark.__file__).parent
ENTRYPOINT = str(ROOT / "deploy" / "entrypoint.sh")
# Options that Spark says itself to executors of its own, and to those on Kubernetes in SPARK_JAVA_OPT_n.
JAVA_OPTIONS = (
    *("--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"),
    *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dsaid=in two words"),
)

Start = Callable[..., "subprocess.Popen[bytes]"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for(port: int, process: "subprocess.Popen[bytes]", *, within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"{process.args!r} does not listen on {port}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the entry point in a role, with its output in tmp_path/ROLE.log; what still runs is killed at the end."""
    with ExitStack() as tidying:

        def begin(*arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
            bare = {name: os.environ[name] for name in ("PATH", "JAVA_HOME", "LANG") if name in os.environ}
            bare |= {"SPARK_HOME": str(SPARK_HOME), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
            bare |= {"PYSPARK_PYTHON": sys.executable, "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false"}
            bare["PATH"] = f"{SPARK_HOME / 'bin'}:{bare['PATH']}"
            with (tmp_path / f"{arguments[0]}.log").open("wb") as log:
                process = subprocess.Popen(
                    [ENTRYPOINT, *arguments],
                    env=bare | dict(environment or {}),
                    cwd=tmp_path,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            tidying.callback(process.wait)
            tidying.callback(kill_all_of, process)
            return process

        yield begin


def kill_all_of(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def test_any_other_first_word_is_the_command_itself() -> None:
    result = subprocess.run(
        [ENTRYPOINT, "printf", "%s|", "two words", "one"], capture_output=True, text=True, check=True
    )

    assert result.stdout == "two words|one|"


@pytest.mark.cluster
@pytest.mark.slow
def test_an_executor_that_is_told_all_by_its_environment_does_the_work(start: Start, tmp_path: Path) -> None:
    catalogue, output = tmp_path / "catalogue.json", tmp_path / "data"
    assert cli.main(["synth", "--rows", "300", "--output", str(catalogue)]) == 0
    truth = json.loads((tmp_path / "catalogue.json.truth.json").read_text())
    master_port, driver_port = free_port(), free_port()
    url = f"spark://127.0.0.1:{master_port}"
    properties = tmp_path / "spark.properties"
    properties.write_text(
        f"spark.master={url}\nspark.driver.host=127.0.0.1\nspark.driver.port={driver_port}\nspark.ui.enabled=false\n"
    )

    # A master that has no workers: what executes is what the entry point starts.
    wait_for(master_port, start("master", "--host", "127.0.0.1", "--port", str(master_port), "--webui-port", "0"))
    driver = start(
        *("driver", "--properties-file", str(properties), str(ROOT / "spark_jobs" / "prepare.py")),
        *("--input", str(catalogue), "--output", str(output), "--on", url),
        environment={"SPARK_DRIVER_BIND_ADDRESS": "127.0.0.1"},
    )
    wait_for(driver_port, driver)
    start(
        "executor",
        environment={
            "SPARK_DRIVER_URL": f"spark://CoarseGrainedScheduler@127.0.0.1:{driver_port}",
            "SPARK_EXECUTOR_ID": "7",
            "SPARK_EXECUTOR_CORES": "2",
            "SPARK_EXECUTOR_MEMORY": "512m",
            "SPARK_APPLICATION_ID": "vitrine",
            "SPARK_EXECUTOR_POD_IP": "127.0.0.1",
            "SPARK_EXECUTOR_POD_NAME": "vitrine-exec-7",
            "SPARK_RESOURCE_PROFILE_ID": "0",
            **{f"SPARK_JAVA_OPT_{number}": option for number, option in enumerate(JAVA_OPTIONS)},
        },
    )

    assert driver.wait(120) == 0, (tmp_path / "driver.log").read_text() + (tmp_path / "executor.log").read_text()
    assert read_manifest(str(output)).rows.kept == truth["kept"]
