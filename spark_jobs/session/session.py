"""Starts Spark and stops it. Nothing else in the project does."""

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Final

from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]
from pyspark import SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from contract.errors import UserError
from contract.text.compiled.cache import LOADS_COMPILED
from spark_jobs.session.class_archive import class_archive
from spark_jobs.session.cluster import (
    require_master,
    settings_of_environment,
    shipping,
    submitted_to,
    wait_for_executor,
)
from spark_jobs.session.compiling import compiling
from spark_jobs.session.gateway import close_update_sockets, ended_on_interrupt, needs_scripts, options_of, start_java
from spark_jobs.session.java import check_java, find_fit_java, find_java, is_started_by_submit

_QUIET: Final = Path(__file__).with_name("log4j2.properties")

_SETTINGS: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "false",
    # Rows are pieces of up to 64 MiB, compressed already.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 * 2**20),
    "spark.shuffle.compress": "false",
    # A row is a task or a piece: there are few, and compiling code for them takes seconds.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.ui.showConsoleProgress": "false",
}
# The JVM moves bytes and does little else: time spent on compiling its code well is taken from Python.
_JAVA_OPTIONS: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# Cleaning allocates and frees arrays of a few MiB all the time. By default glibc maps each again, and the kernel clears
# it page by page: a quarter of the time.
# Arrow's own allocator gives pages back, too, so Arrow uses glibc's: an eighth of all processor time less.
_MALLOC: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
_CLUSTER_SETTINGS: Final = {
    "spark.driver.extraJavaOptions": " ".join(_JAVA_OPTIONS),
    "spark.executor.extraJavaOptions": " ".join(_JAVA_OPTIONS),
}
_LOCAL_SETTINGS: Final = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.ui.enabled": "false",
    "spark.python.daemon.module": "spark_jobs.session.daemon",
}


@contextmanager
def open_session(
    master: str, *, conf: Mapping[str, str] | None = None, environment: str | None = None, is_compiled: bool = False
) -> Iterator[SparkSession]:
    """A Spark session of ours; one that runs already in this process is used and left running.

    `conf` are settings of Spark's own, by name. `environment` is an archive of the Python packages that a
    cluster's workers need, where they do not have them. `is_compiled` makes local workers ready to clean by compiled
    code, which takes a second, and in the first run one core for seven. UserError where Spark cannot start. On an
    interrupt the Java that was started is ended, and nothing else is done. Spark's own messages are kept in a file,
    which is there to read only if the job fails.
    """
    running = SparkSession.getActiveSession()
    if is_started_by_submit():
        master = submitted_to(master)
    if running is not None:
        yield running
    elif master.startswith("local"):
        settings = {**_LOCAL_SETTINGS, **(conf or {})}
        with (
            _log_kept_on_failure() as log,
            ended_on_interrupt(),
            compiling() if is_compiled else nullcontext(),
            _stopping(_start_local(master, log, settings=settings, is_compiled=is_compiled)) as spark,
        ):
            yield spark
    else:
        packages = settings_of_environment(environment) if environment else {}
        settings = {**_CLUSTER_SETTINGS, **packages, **(conf or {})}
        with (
            _log_kept_on_failure() as log,
            ended_on_interrupt(),
            _stopping(_start_remote(master, log, settings=settings)) as spark,
            shipping(spark.sparkContext),
        ):
            wait_for_executor(spark)
            yield spark


def is_on_one_machine(spark: SparkSession) -> bool:
    """Whether all tasks of this Spark run in its one Java on this machine, so that no executor can be lost alone."""
    master = spark.sparkContext.master
    return master == "local" or master.startswith("local[")


def _builder(master: str, settings: Mapping[str, str]) -> SparkSession.Builder:
    # pyspark 4.3 warns of pandas 3, and asks for pandas where only Arrow is used.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    # It prints this beside our own message where Java was killed while a job ended.
    warnings.filterwarnings("ignore", "Unable to cleanly shutdown Spark JVM process", RuntimeWarning)
    builder = SparkSession.builder.appName("vitrine prepare").master(master)
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    for name, value in _MALLOC.items():
        builder = builder.config(f"spark.executorEnv.{name}", value)
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder


@contextmanager
def _stopping(spark: SparkSession) -> Iterator[SparkSession]:
    try:
        yield spark
    except KeyboardInterrupt:
        if is_started_by_submit():  # otherwise `ended_on_interrupt` ends our Java, which is sure and quick
            spark.stop()
        raise
    except BaseException:
        with suppress(Py4JError, OSError):  # Java may have ended; the first error is the one to report
            spark.stop()
        raise
    close_update_sockets()
    spark.stop()


@contextmanager
def _log_kept_on_failure() -> Iterator[IO[bytes]]:
    """A file without a name, so that a killed job leaves none behind; an unexpected error names a copy of it."""
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


def _start_local(master: str, log: IO[bytes], *, settings: Mapping[str, str], is_compiled: bool) -> SparkSession:
    java = None if is_started_by_submit() or needs_scripts() else find_fit_java()
    options = [*_JAVA_OPTIONS, f"-Dlog4j2.configurationFile={_QUIET.as_uri()}"]
    if java:
        options += class_archive(java.path, options=options_of(java))
    elif not is_started_by_submit():
        options += class_archive(find_java())
    root = str(Path(__file__).resolve().parents[2])  # workers import spark_jobs from where this process did
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", root)]
    environment = {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join([root, *paths]),
        "SPARK_LOCAL_IP": "127.0.0.1",  # otherwise Java looks up this machine's name, which may be unknown
        **({LOADS_COMPILED: "yes"} if is_compiled else {}),
        **_MALLOC,
    }
    settings = {"spark.driver.extraJavaOptions": " ".join(options), **settings}
    with _stderr_to(log), _user_errors_of_start(master, log, is_checked=java is not None), _environment(environment):
        if java and not SparkContext._gateway:  # which holds the Java of an earlier session of this process
            os.environ.update(start_java(java, settings=settings))
        return _get_or_create(_builder(master, settings))


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    """Processes started inside the block inherit these variables: Java, and then the workers of a local master."""
    before = dict(os.environ)
    os.environ.update(changed)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _start_remote(master: str, log: IO[bytes], *, settings: Mapping[str, str]) -> SparkSession:
    if not is_started_by_submit():
        find_java()
        require_master(master)
    with _stderr_to(log), _user_errors_of_start(master, log, is_checked=False):
        spark = _get_or_create(_builder(master, settings))
    spark.sparkContext.setLogLevel("ERROR")
    return spark


@contextmanager
def _user_errors_of_start(master: str, log: IO[bytes], *, is_checked: bool) -> Iterator[None]:
    try:
        yield
    except PySparkRuntimeError as error:
        if not is_checked:
            check_java(find_java())  # not earlier: it takes a while, and Java is nearly always right
        log.seek(0)
        printed = log.read().decode(errors="replace").strip().splitlines()[-3:]
        raise UserError(f"Spark did not start: {error}; Java printed: {' / '.join(printed) or 'nothing'}") from error
    except Py4JJavaError as error:
        raise UserError(f"Spark did not start with master {master!r}: {error.java_exception.getMessage()}") from error


def _get_or_create(builder: SparkSession.Builder) -> SparkSession:
    """Starts the session, and then restores the handler of SIGINT.

    The handler of pyspark 4.3 calls the JVM from within a call to it, which fails with three tracebacks, and py4j
    0.10.9 logs each. Without it, stopping the session still cancels its jobs.
    """
    handler = signal.getsignal(signal.SIGINT)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(lambda record: "while sending command" not in str(record.msg))
    spark = builder.getOrCreate()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)
    return spark


@contextmanager
def _stderr_to(log: IO[bytes]) -> Iterator[None]:
    """Processes started inside the block write their stderr to `log`: Java prints warnings of no use."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
