"""Workers of a local Spark are forked from a process that has imported what they need."""

import subprocess
import sys

import pyarrow as pa
import pytest

from tests.spark_jobs.conftest import SparkHolder
from tests.spark_jobs.processes import IS_LINUX

_UP_TO_THE_FORK = """
import sys, types
from pathlib import Path
import spark_jobs.session.daemon

def list_threads():
    print(*(path.read_text() for path in Path("/proc/self/task").glob("*/comm")), sep="", end="")

sys.modules["pyspark.daemon"] = types.SimpleNamespace(manager=list_threads)  # which would fork now
spark_jobs.session.daemon.main()
"""


@pytest.mark.spark
def test_workers_start_with_all_imports_frozen(spark_holder: SparkHolder) -> None:
    def tell(batches):
        import gc
        import sys

        told = [str(gc.get_freeze_count()), sys.modules["pyspark"].__file__, str("spark_jobs.rows" in sys.modules)]
        for _ in batches:
            pass
        yield pa.RecordBatch.from_pydict({"told": told})

    told = spark_holder.get("local[2]").range(0, 1, 1, 1).mapInArrow(tell, "told string").collect()
    frozen, pyspark, is_imported = [row.told for row in told]
    assert int(frozen) > 50_000
    assert ".zip" not in pyspark
    assert is_imported == "True"


@pytest.mark.skipif(not IS_LINUX, reason="looks for threads as Linux shows them")
def test_no_thread_that_a_worker_would_miss_runs_before_the_fork() -> None:
    result = subprocess.run([sys.executable, "-c", _UP_TO_THE_FORK], capture_output=True, text=True, check=True)
    main, *others = result.stdout.splitlines()
    assert main.startswith("python")
    assert set(others) <= {"jemalloc_bg_thd"}  # which the library knows how to do without
