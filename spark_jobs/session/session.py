"""Starts Spark and stops it. Nothing else in the project does."""

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, Final

from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from contract.errors import UserError
from spark_jobs.session.cluster import (
    require_master,
    settings_of_environment,
    shipping,
    submitted_to,
    wait_for_executor,
)
from spark_jobs.session.compiling import compiling
from spark_jobs.session.gateway import ended_on_interrupt, stop_quickly, wait_for_java
from spark_jobs.session.java import check_java, find_java, is_started_by_submit
from spark_jobs.session.launcher import JAVA_OPTIONS, MALLOC, LocalJava, local_java, log_kept_on_failure

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
_CLUSTER_SETTINGS: Final = {
    "spark.driver.extraJavaOptions": " ".join(JAVA_OPTIONS),
    "spark.executor.extraJavaOptions": " ".join(JAVA_OPTIONS),
}


@contextmanager
def open_session(
    master: str,
    *,
    conf: Mapping[str, str] | None = None,
    environment: str | None = None,
    is_compiled: bool = False,
    java: LocalJava | None = None,
) -> Iterator[SparkSession]:
    """A Spark session of ours; one that runs already in this process is used and left running.

    `conf` are settings of Spark's own, by name. `environment` is an archive of the Python packages that a
    cluster's workers need, where they do not have them. `is_compiled` makes local workers ready to clean by compiled
    code, which takes a second, and in the first run one core for seven. `java` is that of `java_ahead`, with the same
    settings. UserError where Spark cannot start. On an interrupt the Java that was started is ended, and nothing else
    is done. Spark's own messages are kept in a file, which is there to read only if the job fails.
    """
    running = SparkSession.getActiveSession()
    if is_started_by_submit():
        master = submitted_to(master)
    if running is not None:
        yield running
    elif master.startswith("local"):
        with (
            nullcontext(java) if java else local_java(conf or {}, is_compiled=is_compiled) as java,
            ended_on_interrupt(),
            compiling() if is_compiled else nullcontext(),
            _stopping(_start_local(master, java)) as spark,
        ):
            yield spark
    else:
        packages = settings_of_environment(environment) if environment else {}
        settings = {**_CLUSTER_SETTINGS, **packages, **(conf or {})}
        with (
            log_kept_on_failure() as log,
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
    for name, value in MALLOC.items():
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
    stop_quickly(spark)


def _start_local(master: str, java: LocalJava) -> SparkSession:
    with (
        _stderr_to(java.log),
        _user_errors_of_start(master, java.log, is_checked=java.process is not None),
        _environment(java.environment),
    ):
        if java.process:
            os.environ.update(wait_for_java(java, java.process))
        return _get_or_create(_builder(master, java.settings))


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
