"""A preparation whose slow tasks are run a second time: `python -m tests.spark_jobs.speculation MASTER IN OUT MARKS`.

Each attempt of a task leaves a mark when it has done its work; the first attempt of one task of each kind sleeps then.
"""

import os
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pyspark import TaskContext

from spark_jobs import steps
from spark_jobs.config import PrepareConfig
from spark_jobs.prepare import prepare

SLOW_STEPS: Final = ("stage_bucket", "write_shard")
SETTINGS: Final = {"partitions": 4, "shard_rows": 60, "val_share": 0.1, "test_share": 0.1}
_SLEEP_S: Final = 40.0
_SPARK: Final = {
    "spark.speculation": "true",
    "spark.speculation.interval": "50ms",
    "spark.speculation.minTaskRuntime": "500ms",
    "spark.speculation.multiplier": "1.1",
    "spark.speculation.quantile": "0.1",
    "spark.executor.memory": "512m",
    "spark.driver.host": "127.0.0.1",
}


def slow_at_first(function: Callable[..., Any], marks: Path) -> Callable[..., Any]:
    """The function, but the first attempt of its first task sleeps after its work."""

    def sleep_at_first(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        task = TaskContext.get()
        assert task is not None
        (marks / f"{function.__name__}-{task.partitionId()}-{task.attemptNumber()}-{uuid.uuid4().hex}").touch()
        if (task.partitionId(), task.attemptNumber()) == (0, 0):
            time.sleep(_SLEEP_S)
        return result

    return sleep_at_first


def main(master: str, source: str, output: str, marks: str) -> None:
    for step in SLOW_STEPS:
        setattr(steps, step, slow_at_first(getattr(steps, step), Path(marks)))
    options = " ".join(f"--conf {name}={value}" for name, value in _SPARK.items())
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{options} pyspark-shell"
    prepare(PrepareConfig(input=source, output=output, master=master, **SETTINGS))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
