"""The process that forks the Python workers of a local Spark; it has imported everything that they need.

The daemon of pyspark imports nothing beforehand: every worker imports pyspark from a zip file, which Python compiles
each time, and then the other packages. After each task a worker looks for cycles among all its objects, which takes a
tenth of a second for those of the libraries; objects that were frozen before the fork are left out.

A preparation on this machine has imported the same packages itself. It leaves a copy of itself, to which the daemon
that Java starts hands its streams: half a second less than to import them all again.
"""

import gc
import importlib
import json
import os
import select
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from command.signals import holding_signals, restore_signals

COPY: Final = "VITRINE_WORKERS"  # the variable that names the socket of a copy
_NEEDED: Final = ("pyspark.worker", "spark_jobs.steps")
_STREAMS: Final = (0, 1, 2)


def main() -> None:
    """Serves Java's requests for workers until Java ends, in this process or in a copy of the driver."""
    if (path := os.environ.get(COPY)) and _hand_over(path):
        return
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy must not start threads: a fork would not have them
    sys.path.sort(key=lambda path: path.endswith(".zip"))
    _import_all()
    from contract.text.compiled.cache import LOADS_COMPILED  # not needed to hand over

    if LOADS_COMPILED in os.environ:
        importlib.import_module("contract.text.compiled.clean").warm_up()
    gc.collect()
    gc.freeze()
    importlib.import_module("pyspark.daemon").manager()


def leave_copy(path: Path, *, driver_only: IO[bytes]) -> None:
    """Forks a copy of this process. It serves workers once a daemon has handed over, at the socket of this path.

    Until then it ends when this process does. `driver_only` is closed in the copy. Does nothing where this process has
    threads, which a copy would miss (numpy's library ends its own before a fork, and starts others when it needs them),
    or the path is too long for a socket: the daemon then imports all itself.
    """
    if threading.active_count() > 1:
        return
    _import_all()
    gc.freeze()
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
    except OSError:
        return
    listening.listen(1)
    driver, of_driver = os.pipe()  # the driver never closes its end
    with holding_signals():
        if os.fork():
            listening.close()
            os.close(driver)
            return
        try:  # from here on in the copy, which never leaves this block
            restore_signals()
            driver_only.close()
            os.close(of_driver)
            if _has_taken_over(listening, driver, path):
                importlib.import_module("pyspark.daemon").manager()
        finally:
            os._exit(0)


def _import_all() -> None:
    for name in _NEEDED:
        importlib.import_module(name)


def _hand_over(path: str) -> bool:
    """Gives the streams and variables that Java has set to the copy, and waits for its end; False if there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError:  # it was not left, or an earlier daemon has had it
            return False
        socket.send_fds(connection, [b"\0"], _STREAMS)
        connection.sendall(json.dumps([dict(os.environ), sys.argv]).encode())
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return True


def _has_taken_over(listening: socket.socket, driver: int, path: Path) -> bool:
    """Waits for a daemon, and takes its streams, variables and arguments; False if the driver ends before that."""
    ready, _, _ = select.select([listening.fileno(), driver], [], [])
    path.unlink(missing_ok=True)
    if listening.fileno() not in ready:
        return False
    with suppress(OSError):  # Java has long used the rest of this folder
        path.parent.rmdir()
    connection, _ = listening.accept()  # open until this process and its workers end
    listening.close()
    os.close(driver)
    _, streams, _, _ = socket.recv_fds(connection, 1, len(_STREAMS))
    for stream, number in zip(streams, _STREAMS, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    with os.fdopen(os.dup(connection.detach()), "rb") as file:
        variables, sys.argv = json.load(file)
    os.environ.clear()
    os.environ.update(variables)
    return True


if __name__ == "__main__":
    main()
