"""Workers of a local Spark are forked from a process that has imported what they need."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pytest

from tests.spark_jobs.catalogues import catalogue, write
from tests.spark_jobs.conftest import SparkHolder
from tests.spark_jobs.processes import IS_LINUX, MARK, ROOT, Run

_UP_TO_THE_FORK = """
import sys, types
from pathlib import Path
import spark_jobs.session.daemon

def list_threads():
    print(*(path.read_text() for path in Path("/proc/self/task").glob("*/comm")), sep="", end="")

sys.modules["pyspark.daemon"] = types.SimpleNamespace(manager=list_threads)  # which would fork now
spark_jobs.session.daemon.main()
"""

_UP_TO_THE_COPY = """
import runpy, sys
from pathlib import Path
import spark_jobs.session.daemon

def list_threads(path, driver_only):
    print(*(path.read_text() for path in Path("/proc/self/task").glob("*/comm")), sep="", end="")
    sys.exit()

spark_jobs.session.daemon.leave_copy = list_threads
runpy.run_module("spark_jobs.prepare", run_name="__main__")
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
@pytest.mark.parametrize("program", [_UP_TO_THE_FORK, _UP_TO_THE_COPY])
def test_no_thread_that_a_worker_would_miss_runs_before_the_fork(program: str, tmp_path: Path) -> None:
    arguments = ["--input", str(write(tmp_path / "in.json", catalogue(3))), "--output", str(tmp_path / "out")]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    main, *others = result.stdout.splitlines()
    assert main.startswith("python")
    assert set(others) <= {"jemalloc_bg_thd"}  # which the library knows how to do without


_WITH_A_COPY = """
import os, signal, sys
import pyarrow as pa
from spark_jobs import steps
from spark_jobs.session.daemon import leave_copy
from spark_jobs.session.launcher import java_ahead
from spark_jobs.session.session import open_session

def tell(batches):
    import os, sys
    for _ in batches:
        pass
    told = [str(hasattr(sys.modules["spark_jobs.steps"], "of_driver")), str("SPARK_LOCAL_DIRS" in os.environ)]
    yield pa.RecordBatch.from_pydict({"told": told})

steps.of_driver = True
with java_ahead("local[1]", conf={}, is_compiled=False) as java:
    print(java.copy.parent)
    leave_copy(java.copy, driver_only=java.process.stdin)
    if "killed" in sys.argv:
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    with open_session("local[1]", java=java) as spark:
        print(*(row.told for row in spark.range(0, 1, 1, 1).mapInArrow(tell, "told string").collect()))
"""


def with_a_copy(tmp_path: Path, *arguments: str) -> tuple[Run, list[str]]:
    mark = f"vitrine-test-{uuid.uuid4().hex}"
    command, environment = [sys.executable, "-c", _WITH_A_COPY, *arguments], os.environ | {MARK: mark}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log)
    run = Run(process, tmp_path, tmp_path / "log", mark)
    return run, process.communicate()[0].decode().splitlines()


@pytest.mark.spark
@pytest.mark.skipif(not IS_LINUX, reason="looks for processes as Linux shows them")
def test_a_copy_of_the_driver_serves_the_workers_and_ends_with_java(tmp_path: Path) -> None:
    run, (folder, *told) = with_a_copy(tmp_path)
    assert (run.process.returncode, run.said(), told) == (0, [], ["True True"])
    run.wait_for_nobody()
    assert not Path(folder).exists()


@pytest.mark.spark
@pytest.mark.skipif(not IS_LINUX, reason="looks for processes as Linux shows them")
def test_a_copy_ends_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    run, (folder,) = with_a_copy(tmp_path, "killed")
    assert (run.process.returncode, run.said()) == (-signal.SIGKILL, [])
    run.wait_for_nobody()
    assert not Path(folder, "workers").exists()
