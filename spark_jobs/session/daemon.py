"""The process that a local Spark's Python workers are forked from, with all that they need imported already.

pyspark's own starts bare: it takes pyspark from a zip file, which Python compiles anew each time, and every worker
imports the rest for itself. After each task a worker looks for cycles among all its objects, for a tenth of a second
among those of the libraries; frozen before the fork, these are passed over.
"""

import gc
import importlib
import os
import sys
from typing import Final

_NEEDED: Final = ("pyspark.worker", "spark_jobs.steps")


def main() -> None:
    """Serves Java's requests for workers until it goes away."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy must not start threads: a fork would not have them
    sys.path.sort(key=lambda path: path.endswith(".zip"))
    for name in _NEEDED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    importlib.import_module("pyspark.daemon").manager()


if __name__ == "__main__":
    main()
