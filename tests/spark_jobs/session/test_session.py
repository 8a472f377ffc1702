"""What is wrong with a cluster or with Java is reported in a line, before Spark waits for it."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from contract.errors import UserError
from spark_jobs.session.cluster import require_master, settings_of_environment
from tests.spark_jobs.session.javas import fake_java


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
