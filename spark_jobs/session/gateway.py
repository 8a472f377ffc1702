"""Java of a Spark on this machine, started without Spark's scripts, and ended when the job is interrupted.

The scripts start Java twice: once for the command line of the second. They also read Spark's own files of settings; so
where there are such files or variables, the scripts still do the work.
"""

import os
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pyspark import accumulators, java_gateway
from pyspark.errors import PySparkRuntimeError
from pyspark.find_spark_home import _find_spark_home

from command.signals import holding_signals
from spark_jobs.session.java import Java

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
_LOOK_EACH_S: Final = 0.01
_END_WITHIN_S: Final = 10.0  # Java's shutdown hooks end the tasks and delete Spark's temporary folders
_handle_updates: Final = accumulators.UpdateRequestHandler.handle
_update_sockets: Final[list[socket.socket]] = []
_processes: Final[list[subprocess.Popen[bytes]]] = []


def needs_scripts() -> bool:
    """Whether Spark is set up by files or variables that only its own scripts read."""
    folder = Path(os.environ.get("SPARK_CONF_DIR") or Path(_find_spark_home(), "conf"))
    is_set = any(os.environ.get(name) for name in _VARIABLES_OF_SCRIPTS)
    return is_set or any((folder / name).is_file() for name in _FILES_OF_SCRIPTS)


def start_java(java: Java, *, settings: Mapping[str, str]) -> dict[str, str]:
    """Starts Java with Spark in it, and returns the variables by which pyspark reaches it.

    It ends when this process does: its standard input is then closed. PySparkRuntimeError where it ends at once, as
    pyspark has it.
    """
    with tempfile.TemporaryDirectory(prefix="vitrine-") as folder:  # only this user may read what is in it
        told = Path(folder, "connection")
        environment = {**os.environ, "SPARK_HOME": _find_spark_home(), "_PYSPARK_DRIVER_CONN_INFO_PATH": str(told)}
        with holding_signals():  # or nobody would know of this process, and end it
            process = subprocess.Popen(
                _command(java, settings),
                stdin=subprocess.PIPE,
                env=environment,
                preexec_fn=_ignore_interrupts,  # noqa: PLW1509, it takes no lock; Java undoes a mask, but not this
            )
            _processes.append(process)
        while not told.exists():  # it appears whole
            if process.poll() is not None:
                raise PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})
            time.sleep(_LOOK_EACH_S)
        port, length = struct.unpack_from("!ii", content := told.read_bytes())
    return {"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": content[8 : 8 + length].decode()}


def _command(java: Java, settings: Mapping[str, str]) -> list[str]:
    home = _find_spark_home()
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


@contextmanager
def ended_on_interrupt() -> Iterator[None]:
    """Ends the Java that the body starts if the body is interrupted.

    pyspark 4.3 hands out the process only when Java has answered; Java that is interrupted earlier would never end.
    """
    popen = java_gateway.Popen

    def start(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        _processes.append(popen(*args, **kwargs))
        return _processes[-1]

    java_gateway.Popen = start
    accumulators.UpdateRequestHandler.handle = _handle_until_java_ends
    try:
        yield
    except KeyboardInterrupt:
        while _processes:
            _end(_processes.pop())
        raise
    finally:
        java_gateway.Popen = popen
        accumulators.UpdateRequestHandler.handle = _handle_updates


def close_update_sockets() -> None:
    """Closes the sockets that receive accumulator updates; otherwise pyspark 4.3 waits a second at shutdown."""
    while _update_sockets:
        with suppress(OSError):
            _update_sockets.pop().shutdown(socket.SHUT_RDWR)


def _handle_until_java_ends(handler: accumulators.UpdateRequestHandler) -> None:
    """Suppresses the traceback that a thread of pyspark 4.3 prints when Java ends first."""
    _update_sockets.append(handler.connection)
    with suppress(EOFError, OSError):
        _handle_updates(handler)


def _ignore_interrupts() -> None:
    """For Java: Ctrl-C on a terminal reaches it, too, and this process decides when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
