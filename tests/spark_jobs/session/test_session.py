"""Java is looked at before Spark is started, and what is wrong with it is said."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from contract.errors import UserError
from spark_jobs.session.cluster import require_master, settings_of_environment
from spark_jobs.session.java import check_java, find_java


def fake_java(folder: Path, output: str, code: int = 0) -> str:
    """A `java` that lists these modules."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = fake_java(tmp_path, "")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == java


@pytest.mark.parametrize("home", [None, "/no/such/java"])
def test_no_java_is_the_users_error(home: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", home)
    with pytest.raises(UserError, match=r"needs Java 17 or later, and there is none in JAVA_HOME.*install one"):
        find_java()


def test_a_java_that_will_do_passes(tmp_path: Path) -> None:
    check_java(fake_java(tmp_path, "java.base@21.0.1\njdk.incubator.vector@21.0.1"))


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        ("java.base@11.0.2\njdk.incubator.vector@11", 0, "is Java 11"),
        ("Unrecognized option: --list-modules", 1, "8 or earlier"),
        ("java.base@17.0.2\njava.sql@17.0.2", 0, r"trimmed Java without the module jdk\.incubator\.vector"),
    ],
)
def test_a_java_that_will_not_do_is_told(tmp_path: Path, output: str, code: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_java(fake_java(tmp_path, output, code))


def test_a_java_that_dies_is_the_users_error_with_its_last_words(tmp_path: Path) -> None:
    java = Path(fake_java(tmp_path, "java.base@17.0.2\njdk.incubator.vector@17.0.2"))
    java.write_text(
        java.read_text().replace("exit 0", '[ "$1" = --list-modules ] && exit 0; echo "no memory left" >&2; exit 1')
    )
    program = (
        "from spark_jobs.session.session import open_session\n"
        "from contract.errors import UserError\n"
        "try:\n"
        "    with open_session('local[1]'): pass\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {"JAVA_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert "Spark did not start" in done.stdout
    assert "no memory left" in done.stdout
    assert done.stderr == ""


def test_a_java_that_is_no_program_is_the_users_error(tmp_path: Path) -> None:
    java = Path(fake_java(tmp_path, ""))
    java.write_bytes(b"\x00\x01")
    with pytest.raises(UserError, match=r"bin/java cannot be run: Exec format error; install one"):
        check_java(str(java))


def test_yarn_without_its_configuration_is_the_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.delenv("YARN_CONF_DIR", raising=False)
    with pytest.raises(UserError, match="needs HADOOP_CONF_DIR or YARN_CONF_DIR"):
        require_master("yarn")
    monkeypatch.setenv("YARN_CONF_DIR", "/etc/yarn")
    require_master("yarn")


def test_a_master_that_nobody_serves_is_the_users_error() -> None:
    with pytest.raises(UserError, match=r"no Spark master answers at spark://127\.0\.0\.1:1 .*refused"):
        require_master("spark://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        require_master(f"spark://127.0.0.1:1,127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.spark
def test_a_machine_whose_name_nobody_knows_will_do() -> None:
    renamed = ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*renamed, "hostname unknown"], capture_output=True).returncode:
        pytest.skip("a process here may not take a host name of its own")
    program = "from spark_jobs.session.session import open_session\nimport os\nbefore = dict(os.environ)\n"
    program += "with open_session('local[1]') as spark: print(spark.range(3).count(), os.environ == before)"
    done = subprocess.run(
        [*renamed, 'hostname unknown && exec "$@"', "-", sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.stdout == "3 True\n", done.stderr


def test_an_archive_that_is_not_there_is_told_before_spark_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file; docs/cluster\.md shows"):
        settings_of_environment(str(tmp_path / "environment.tar.gz"))
    assert settings_of_environment("hdfs:///packages.tar.gz")["spark.archives"].startswith("hdfs:///packages.tar.gz#")
