"""Compiles the pass for this machine, where numba is installed: `python -m contract.text.compiled`.

Some five seconds, once. `vitrine prepare` runs it beside the start of Spark.
"""

import os
import sys
import threading
import time

import pyarrow as pa

from contract.text.compiled.cache import cache_folder, is_ready, mark_ready, use
from contract.text.compiled.clean import clean_compiled
from contract.text.profiles import SEED


def main() -> int:
    """Exit code 1 where there is no numba, or no folder to keep the code in."""
    if is_ready():
        return 0
    if (folder := cache_folder()) is None:
        return 1
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        use(folder)
        clean_compiled(pa.array(["a"]), SEED)
        mark_ready(folder)
    except OSError:
        return 1
    return 0


def _end_with(parent: int) -> None:
    """Ends this process once its parent has ended, killed perhaps: then nobody waits for the code."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    sys.exit(main())
