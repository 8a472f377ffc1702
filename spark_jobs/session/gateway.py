"""How pyspark reaches the Java of a Spark on this machine, and how Java and it end together."""

import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from pyspark import accumulators, java_gateway
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from spark_jobs.session.launcher import LocalJava, end_started, started

_LOOK_EACH_S: Final = 0.01
_handle_updates: Final = accumulators.UpdateRequestHandler.handle


def wait_for_java(java: LocalJava, process: "subprocess.Popen[bytes]") -> dict[str, str]:
    """The variables by which pyspark reaches this Java, once it is ready.

    PySparkRuntimeError where it ends at once, as pyspark has it.
    """
    while not java.connection.exists():
        if process.poll() is not None:
            raise PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})
        time.sleep(_LOOK_EACH_S)
    port, length = struct.unpack_from("!ii", content := java.connection.read_bytes())
    java.connection.unlink()
    with suppress(OSError):  # the socket of a copy is there
        java.connection.parent.rmdir()
    return {"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": content[8 : 8 + length].decode()}


@contextmanager
def ended_on_interrupt() -> Iterator[None]:
    """Ends the Java that this process has started if the body is interrupted.

    pyspark 4.3 hands out the process only when Java has answered; Java that is interrupted earlier would never end.
    """
    popen = java_gateway.Popen

    def start(*args: Any, **kwargs: Any) -> "subprocess.Popen[bytes]":
        started.append(popen(*args, **kwargs))
        return started[-1]

    java_gateway.Popen = start
    accumulators.UpdateRequestHandler.handle = _handle_until_java_ends
    try:
        yield
    except KeyboardInterrupt:
        end_started()
        raise
    finally:
        java_gateway.Popen = popen
        accumulators.UpdateRequestHandler.handle = _handle_updates


def stop_quickly(spark: SparkSession) -> None:
    """Stops Spark, and leaves the threads that receive accumulator updates to the end of this process.

    To end them, pyspark 4.3 waits up to a second and a half.
    """
    spark.sparkContext._accumulatorServer = None  # then there is nothing to wait for
    spark.stop()


def _handle_until_java_ends(handler: accumulators.UpdateRequestHandler) -> None:
    """Suppresses the traceback that a thread of pyspark 4.3 prints when Java ends first."""
    with suppress(EOFError, OSError):
        _handle_updates(handler)
