"""The only place that starts Spark."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from contract.errors import UserError

MIN_JAVA: Final = 17
_GET_JAVA: Final = (
    "install one (Debian, Ubuntu: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17;"
    " anywhere: https://adoptium.net) or point JAVA_HOME to it"
)
_QUIET: Final = Path(__file__).with_name("log4j2.properties")

_SETTINGS: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "false",
    # Rows are pieces of up to 64 MiB, compressed already.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 * 2**20),
    "spark.shuffle.compress": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_LOCAL_SETTINGS: Final = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "2g",
}


@contextmanager
def open_session(master: str) -> Iterator[SparkSession]:
    """A Spark session of ours; one that runs already in this process is used and left running.

    On a local master Spark's own messages are kept in a file, which is there to read only if the job fails.
    """
    running = SparkSession.getActiveSession()
    if running is not None:
        yield running
    elif master.startswith("local"):
        with _log_kept_on_failure() as log, _stopping(_start_local(master, log)) as spark:
            yield spark
    else:
        with _stopping(_builder(master).getOrCreate()) as spark:
            spark.sparkContext.setLogLevel("ERROR")
            yield spark


def _builder(master: str) -> SparkSession.Builder:
    # pyspark 4.3 warns of pandas 3, and asks for pandas where only Arrow is used.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    builder = SparkSession.builder.appName("vitrine prepare").master(master)
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    return builder


@contextmanager
def _stopping(spark: SparkSession) -> Iterator[SparkSession]:
    try:
        yield spark
    finally:
        spark.stop()


@contextmanager
def _log_kept_on_failure() -> Iterator[IO[bytes]]:
    """A nameless file, so that a killed job leaves none behind; unexpected errors say where its copy is."""
    with tempfile.TemporaryFile() as log:
        try:
            yield log
        except (UserError, KeyboardInterrupt):
            raise
        except BaseException as error:
            log.seek(0)
            with tempfile.NamedTemporaryFile(prefix="vitrine-spark-", suffix=".log", delete=False) as kept:
                shutil.copyfileobj(log, kept)
            error.add_note(f"Spark's own messages are in {kept.name}")
            raise


def _start_local(master: str, log: IO[bytes]) -> SparkSession:
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit has started Java already
        check_java(find_java())
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    root = str(Path(__file__).resolve().parent.parent)  # workers import spark_jobs from where this process did
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, *paths]))
    builder = _builder(master).config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={_QUIET.as_uri()}")
    for name, value in _LOCAL_SETTINGS.items():
        builder = builder.config(name, value)
    try:
        with _stderr_to(log):
            spark = builder.getOrCreate()
    except PySparkRuntimeError as error:
        log.seek(0)
        said = log.read().decode(errors="replace").strip().splitlines()[-3:]
        raise UserError(f"Spark did not start: {error}; Java said: {' / '.join(said) or 'nothing'}") from error
    _let_interrupts_pass()
    return spark


def _let_interrupts_pass() -> None:
    """Makes Ctrl-C a KeyboardInterrupt and nothing more.

    The handler that pyspark 4.3 installs calls the JVM from within a call to it, which fails with three tracebacks, and
    py4j 0.10.9 logs what it raises. Stopping the session cancels its jobs all the same.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(lambda record: "while sending command" not in str(record.msg))


@contextmanager
def _stderr_to(log: IO[bytes]) -> Iterator[None]:
    """What is started meanwhile writes its stderr to `log` for life: the JVM greets with warnings to no purpose."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def find_java() -> str:
    """The `java` that Spark would start; UserError where there is none."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME ({home})" if home else "JAVA_HOME or PATH"
        raise UserError(f"Spark needs Java {MIN_JAVA} or later, and there is none in {where}; {_GET_JAVA}")
    return java


def check_java(java: str) -> None:
    """UserError where this Java is too old for Spark or lacks a module that Spark cannot start without."""
    result = subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False)
    version = re.search(r"^java\.base@(\d+)", result.stdout, re.MULTILINE)
    if version is None or int(version[1]) < MIN_JAVA:
        found = f"Java {version[1]}" if version else "no Java that knows modules (8 or earlier)"
        raise UserError(f"Spark needs Java {MIN_JAVA} or later, but {java} is {found}; {_GET_JAVA}")
    if "jdk.incubator.vector" not in result.stdout:
        raise UserError(
            f"{java} is a trimmed Java without the module jdk.incubator.vector, which Spark cannot start without;"
            f" {_GET_JAVA}"
        )
