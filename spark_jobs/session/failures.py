"""Turns the failure reports of Spark and Java into one line for the user."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException, PythonException

from contract.errors import UserError
from contract.names import STAGING_PREFIX

_NO_SPACE: Final = "No space left on device"  # Java has the same words
_NO_ROOM_TO_SHUFFLE: Final = (
    "no space left on the device that Spark shuffles through; make room there, or name another folder by the"
    " environment variable SPARK_LOCAL_DIRS (/tmp by default)"
)
_WORKER_LOST: Final = re.compile(
    r"Python worker|\.daemon|SocketException|EOFException"
)  # each is a form of Java's report
_STAGED_FILE_LOST: Final = re.compile(rf"FileNotFoundError: .*{re.escape(STAGING_PREFIX)}")
_PACKAGE_MISSING: Final = re.compile(r"(?:ModuleNotFoundError: No module named '|PACKAGE_NOT_INSTALLED\] )([\w-]+)")
_OTHER_PYTHON: Final = re.compile(r"worker has different version: (\S+) than that in driver: (\d+\.\d+)")
_MEMORY: Final = (
    "the system may have wanted its memory: run again with fewer cores at once (--on 'local[1]', or"
    " spark.executor.cores on a cluster)"
)


@contextmanager
def user_errors_of_tasks() -> Iterator[None]:
    """Raises the UserError that a task raised, or one that says what happened to it, in place of Spark's report."""
    try:
        yield
    except PythonException as error:
        if found := re.search(r"^(?:contract\.errors\.)?UserError: (.+)$", str(error), re.MULTILINE):
            raise UserError(found[1]) from error
        if _NO_SPACE in str(error):  # where the output has none, the task says so itself
            raise UserError(_NO_ROOM_TO_SHUFFLE) from error
        if _STAGED_FILE_LOST.search(str(error)):
            raise UserError(
                "staged files vanished while they were needed: another preparation has published in this output and"
                " swept it, or somebody deletes files there, or not all machines of the cluster share it; run again"
            ) from error
        if found := _PACKAGE_MISSING.search(str(error)):
            raise UserError(
                f"the cluster's workers have no Python package {found[1]!r}: install this project with [spark] there,"
                " or send an archive of packages along with --environment"
            ) from error
        if found := _OTHER_PYTHON.search(str(error)):
            raise UserError(
                f"the cluster's workers run Python {found[1]}, this process {found[2]}: name an interpreter of the same"
                " version there, by PYSPARK_PYTHON or --conf spark.pyspark.python=…"
            ) from error
        raise
    except (Py4JJavaError, PySparkException) as error:
        if _NO_SPACE in str(error):
            raise UserError(_NO_ROOM_TO_SHUFFLE) from error
        if _WORKER_LOST.search(str(error)):
            raise UserError(
                f"a Python worker of Spark was killed or crashed; {_MEMORY} or more --partitions"
            ) from error
        raise UserError(f"Spark failed: {_reason_of(error)}; VITRINE_DEBUG=1 shows its whole report") from error


def _reason_of(error: Exception) -> str:
    """The first line of Java's report, without the chain of calls.

    >>> _reason_of(Exception("error occurred while calling f\\n: a.B: most recent failure: c.D: E\\n\\tat g"))
    'c.D: E'
    """
    lines = [line for line in str(error).splitlines() if line.strip() and "error occurred while calling" not in line]
    return lines[0].rpartition("most recent failure: ")[2].removeprefix(": ") if lines else type(error).__name__


@contextmanager
def user_errors_of_lost_java() -> Iterator[None]:
    """Raises a UserError if Java has ended: every call to it then fails in one of these ways."""
    try:
        yield
    except Py4JJavaError:  # Java itself reported this, so it is running
        raise
    except (Py4JError, ConnectionError, EOFError) as error:
        notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        raise UserError(f"the Java that Spark runs on was killed or crashed; {_MEMORY}{notes}") from error
