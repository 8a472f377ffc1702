"""The Java that Spark runs on: found, checked before it is started, and ended when the job is interrupted."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pyspark
from pyspark import accumulators, java_gateway

from contract.errors import UserError

MIN_JAVA: Final = 17
_GET_JAVA: Final = (
    "install one (Debian, Ubuntu: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17;"
    " anywhere: https://adoptium.net) or point JAVA_HOME to it"
)
_handle_updates: Final = accumulators.UpdateRequestHandler.handle
_update_sockets: Final[list[socket.socket]] = []
_END_WITHIN_S: Final = 10.0  # Java's shutdown hooks end the tasks and delete Spark's temporary folders


def is_started_by_submit() -> bool:
    """Whether spark-submit has started Java already, and this process within it."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def find_java() -> str:
    """The `java` that Spark would start; UserError where there is none."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME ({home})" if home else "JAVA_HOME or PATH"
        raise UserError(f"Spark needs Java {MIN_JAVA} or later, and there is none in {where}; {_GET_JAVA}")
    return java


def check_java(java: str) -> None:
    """UserError where this Java cannot run, is too old for Spark or lacks a module that Spark needs."""
    try:
        result = subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"{java} cannot be run: {error.strerror}; {_GET_JAVA}") from error
    version = re.search(r"^java\.base@(\d+)", result.stdout, re.MULTILINE)
    if version is None or int(version[1]) < MIN_JAVA:
        found = f"Java {version[1]}" if version else "no Java that knows modules (8 or earlier)"
        raise UserError(f"Spark needs Java {MIN_JAVA} or later, but {java} is {found}; {_GET_JAVA}")
    if "jdk.incubator.vector" not in result.stdout:
        raise UserError(
            f"{java} is a trimmed Java without the module jdk.incubator.vector, which Spark needs; {_GET_JAVA}"
        )


@contextmanager
def ended_on_interrupt() -> Iterator[None]:
    """Ends the Java that the body starts if the body is interrupted.

    pyspark 4.3 hands out the process only when Java has answered; Java that is interrupted earlier would never end.
    """
    processes: list[subprocess.Popen[bytes]] = []
    popen = java_gateway.Popen

    def start(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        processes.append(popen(*args, **kwargs))
        return processes[-1]

    java_gateway.Popen = start
    accumulators.UpdateRequestHandler.handle = _handle_until_java_ends
    try:
        yield
    except KeyboardInterrupt:
        for process in processes:
            _end(process)
        raise
    finally:
        java_gateway.Popen = popen
        accumulators.UpdateRequestHandler.handle = _handle_updates


def close_update_sockets() -> None:
    """Closes the sockets that receive accumulator updates; otherwise pyspark 4.3 waits a second at shutdown."""
    while _update_sockets:
        with suppress(OSError):
            _update_sockets.pop().shutdown(socket.SHUT_RDWR)


def class_archive(java: str) -> list[str]:
    """Options by which this Java loads the classes of Spark from an archive: it starts in half the time.

    The first run writes the archive when it ends, 160 MB in the user's cache folder. Java itself checks that an archive
    is whole and holds the same classes, and ignores any other.
    """
    release = Path(java).resolve().parent.parent / "release"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrine"
    try:
        identity = f"{release.read_text()}\n{pyspark.__version__}\n{pyspark.__file__}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return []
    archive = folder / f"spark-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.jsa"
    use = f"-XX:SharedArchiveFile={archive}" if archive.exists() else f"-XX:ArchiveClassesAtExit={archive}"
    return [use, "-Xlog:disable", "-Xlog:all=error:stderr"]


def _handle_until_java_ends(handler: accumulators.UpdateRequestHandler) -> None:
    """Suppresses the traceback that a thread of pyspark 4.3 prints when Java ends first."""
    _update_sockets.append(handler.connection)
    with suppress(EOFError, OSError):
        _handle_updates(handler)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
