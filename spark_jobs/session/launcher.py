"""Java of a Spark on this machine: started without Spark's scripts, and before pyspark is imported.

The scripts start Java twice: once for the command line of the second. They also read Spark's own files of settings; so
where there are such files or variables, the scripts still do the work. This module is light: Java boots while this
process imports its libraries.
"""

import importlib.util
import os
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from command.signals import holding_signals
from contract.errors import UserError
from contract.installation import install_text
from contract.text.compiled.cache import LOADS_COMPILED
from spark_jobs.session.class_archive import class_archive
from spark_jobs.session.daemon import COPY
from spark_jobs.session.java import Java, find_fit_java, find_java, is_started_by_submit

# Spark's scripts read these variables and files, and do more then than to start Java.
_VARIABLES_OF_SCRIPTS: Final = ("PYSPARK_SUBMIT_ARGS", "SPARK_SUBMIT_OPTS", "SPARK_DIST_CLASSPATH", "HADOOP_CONF_DIR")
_FILES_OF_SCRIPTS: Final = ("spark-defaults.conf", "spark-env.sh")
# What Spark 4.3 opens of Java (its class JavaModuleOptions). It also adds the module jdk.incubator.vector: only its
# machine learning uses that, and a trimmed Java has none.
_OPENED: Final = (
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util"),
    *("java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs"),
    *("sun.security.action", "sun.util.calendar"),
)
_OPTIONS: Final = (
    *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED),
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.type=pooled",
    "-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE",
    "-Dderby.connection.requireAuthentication=false",
)
_OPTIONS_SINCE: Final = {23: ("--sun-misc-unsafe-memory-access=allow",)}  # earlier versions do not know the option
_CONNECTION: Final = "_PYSPARK_DRIVER_CONN_INFO_PATH"  # names the file in which Java says how it is reached
_END_WITHIN_S: Final = 10.0  # Java's shutdown hooks end the tasks and delete Spark's temporary folders
# The JVM moves bytes and does little else: time spent on compiling its code well is taken from Python.
JAVA_OPTIONS: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_QUIET: Final = Path(__file__).with_name("log4j2.properties")
# Cleaning allocates and frees arrays of a few MiB all the time. By default glibc maps each again, and the kernel clears
# it page by page: a quarter of the time.
# Arrow's own allocator gives pages back, too, so Arrow uses glibc's: an eighth of all processor time less.
MALLOC: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
_SETTINGS: Final = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.ui.enabled": "false",
    "spark.python.daemon.module": "spark_jobs.session.daemon",
}

started: Final[list["subprocess.Popen[bytes]"]] = []  # each Java of this process; it ends when its input is closed


@dataclass(frozen=True)
class LocalJava:
    """What a Spark on this machine is started with, and its Java."""

    settings: Mapping[str, str]  # of Spark's own, by name
    environment: Mapping[str, str]  # variables of Java and of the workers
    log: IO[bytes]  # what Java prints as errors
    process: "subprocess.Popen[bytes] | None"  # None where Spark's scripts start Java, or this process has one already
    connection: Path  # file that appears when Java is ready, whole, with its port and its secret
    copy: Path | None  # socket for `leave_copy`; None where workers need more than this process has loaded


@contextmanager
def java_ahead(master: str, *, conf: Mapping[str, str], is_compiled: bool) -> Iterator[LocalJava | None]:
    """Java for `open_session`, which boots while the body imports libraries.

    None where it would start no Java itself: for a cluster, and where this process has a Java already.
    """
    if master.startswith("local") and not is_started_by_submit() and not _has_java():
        with local_java(conf, is_compiled=is_compiled) as java:
            yield java
    else:
        yield None


@contextmanager
def local_java(conf: Mapping[str, str], *, is_compiled: bool) -> Iterator[LocalJava]:
    """What a Spark on this machine is started with; `conf` are settings of Spark's own, by name.

    If the body fails before pyspark has reached Java, Java is ended. It also ends when this process does: its standard
    input is then closed. What it prints is kept in a file, which is there to read only if the body fails. UserError
    where there is no fit Java.
    """
    options = [*JAVA_OPTIONS, f"-Dlog4j2.configurationFile={_QUIET.as_uri()}"]
    java = None if is_started_by_submit() or needs_scripts() else find_fit_java()
    if java:
        options += class_archive(java.path, pyspark=pyspark_folder(), options=options_of(java))
    elif not is_started_by_submit():
        options += class_archive(find_java(), pyspark=pyspark_folder())
    settings = {"spark.driver.extraJavaOptions": " ".join(options), **_SETTINGS, **conf}
    environment = _environment(is_compiled=is_compiled)
    with log_kept_on_failure() as log, tempfile.TemporaryDirectory(prefix="vitrine-") as folder:
        connection, process = Path(folder, "connection"), None  # only this user may read what is in the folder
        copy = None if is_compiled else connection.with_name("workers")
        told = {_CONNECTION: str(connection), **({COPY: str(copy)} if copy else {})}
        try:
            if java and not _has_java():
                process = _start(java, settings, {**environment, **told}, log=log)
            yield LocalJava(settings, environment, log, process, connection, copy)
        except BaseException:
            if not _has_java():
                end_started()
            raise


def end_started() -> None:
    """Ends each Java that this process has started, and waits for its end."""
    while started:
        process = started.pop()
        process.terminate()
        try:
            process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def needs_scripts() -> bool:
    """Whether Spark is set up by files or variables that only its own scripts read."""
    folder = Path(os.environ.get("SPARK_CONF_DIR") or Path(_spark_home(), "conf"))
    is_set = any(os.environ.get(name) for name in _VARIABLES_OF_SCRIPTS)
    return is_set or any((folder / name).is_file() for name in _FILES_OF_SCRIPTS)


def pyspark_folder() -> Path:
    """Where the package pyspark is installed; UserError where it is not."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise UserError(f"pyspark is not installed; {install_text('spark')}")
    return Path(spec.origin).parent


def _spark_home() -> str:
    """Where Spark is installed, by the rules of pyspark, which takes a tenth of a second to import as a whole."""
    home: str = runpy.run_path(str(pyspark_folder() / "find_spark_home.py"))["_find_spark_home"]()
    return home


def _has_java() -> bool:
    """Whether this process reaches a Java of Spark already: that of an earlier session."""
    pyspark = sys.modules.get("pyspark")
    return pyspark is not None and pyspark.SparkContext._gateway is not None


def _environment(*, is_compiled: bool) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])  # workers import spark_jobs from where this process did
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", root)]
    return {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join([root, *paths]),
        "SPARK_LOCAL_IP": "127.0.0.1",  # otherwise Java looks up this machine's name, which may be unknown
        **({LOADS_COMPILED: "yes"} if is_compiled else {}),
        **MALLOC,
    }


def _start(
    java: Java, settings: Mapping[str, str], environment: Mapping[str, str], *, log: IO[bytes]
) -> "subprocess.Popen[bytes]":
    with holding_signals():  # or nobody would know of this process, and end it
        process = subprocess.Popen(
            _command(java, settings),
            stdin=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **environment, "SPARK_HOME": _spark_home()},
            preexec_fn=_ignore_interrupts,  # noqa: PLW1509, it takes no lock; Java undoes a mask, but not this
        )
        started.append(process)
        return process


def _command(java: Java, settings: Mapping[str, str]) -> list[str]:
    home = _spark_home()
    jars = Path(home, "jars")
    # As Spark's scripts have it: other jars hold older classes of slf4j.
    classes = [str(Path(home, "conf")), *map(str, sorted(jars.glob("slf4j-api-*.jar"))), str(jars / "*")]
    first = settings.get("spark.driver.extraClassPath")
    options = shlex.split(settings.get("spark.driver.extraJavaOptions", ""))
    return [
        java.path,
        *("-cp", os.pathsep.join([first, *classes] if first else classes)),
        f"-Xmx{settings['spark.driver.memory']}",
        *options,
        *options_of(java),
        "org.apache.spark.deploy.SparkSubmit",
        *(word for name, value in settings.items() for word in ("--conf", f"{name}={value}")),
        "pyspark-shell",
    ]


def options_of(java: Java) -> list[str]:
    """The options that Spark needs of this version of Java."""
    newer = (option for since, options in _OPTIONS_SINCE.items() if java.version >= since for option in options)
    return [*_OPTIONS, *newer]


def _ignore_interrupts() -> None:
    """For Java: Ctrl-C on a terminal reaches it, too, and this process decides when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def log_kept_on_failure() -> Iterator[IO[bytes]]:
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
