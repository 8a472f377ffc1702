"""The process that forks the Python workers of a local Spark; it has imported everything that they need.

The daemon of pyspark imports nothing beforehand: every worker imports pyspark from a zip file, which Python compiles
each time, and then the other packages. After each task a worker looks for cycles among all its objects, which takes a
tenth of a second for those of the libraries; objects that were frozen before the fork are left out.
"""

import gc
import importlib
import os
import sys
from typing import Final

from contract.text.compiled.cache import LOADS_COMPILED

_NEEDED: Final = ("pyspark.worker", "spark_jobs.steps")


def main() -> None:
    """Serves Java's requests for workers until Java ends."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy must not start threads: a fork would not have them
    sys.path.sort(key=lambda path: path.endswith(".zip"))
    for name in _NEEDED:
        importlib.import_module(name)
    if LOADS_COMPILED in os.environ:
        importlib.import_module("contract.text.compiled.clean").warm_up()
    gc.collect()
    gc.freeze()
    importlib.import_module("pyspark.daemon").manager()


if __name__ == "__main__":
    main()
