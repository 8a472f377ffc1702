"""The compiled pass of cleaning is made in the first run, beside the start of Spark."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from command.signals import holding_signals
from contract.text.compiled.cache import cache_folder, is_ready

_COMMAND: Final = (sys.executable, "-m", "contract.text.compiled")


@contextmanager
def compiling() -> Iterator[None]:
    """While the body runs, a process compiles what cleans texts, if numba is installed and that was not done before.

    Workers clean in the slower way until it has ended. It takes some five seconds, fewer than most jobs.
    """
    if cache_folder() is None or is_ready():
        yield
        return
    with holding_signals():  # or nobody would know of this process, and end it
        process = subprocess.Popen(
            _COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        yield
        process.wait()
    finally:
        process.kill()
        process.wait()
