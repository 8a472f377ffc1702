"""Progress of Spark jobs, as Spark counts their tasks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark import Accumulator, SparkContext

from command.progress import ProgressBar

_INTERVAL_S: Final = 0.2


@contextmanager
def watch_tasks(
    context: SparkContext, *, group: str, num_tasks: int, label: str, rows: Accumulator[int] | None = None
) -> Iterator[None]:
    """Shows how many of `num_tasks` tasks the jobs of this group have finished, while the body runs.

    It also shows how many rows the finished tasks have counted. A task that runs twice counts twice, so this number is
    only for show.
    """
    context.setJobGroup(group, label, interruptOnCancel=True)
    progress = ProgressBar(label)
    stop = threading.Event()

    def show_until_stopped() -> None:
        with suppress(Py4JError, OSError):  # Java has ended, and the body will fail
            while not stop.wait(_INTERVAL_S):
                done = min(_num_done(context, group), num_tasks)
                num_rows = f"{rows.value:,} rows, " if rows is not None else ""
                progress.show(done / num_tasks, f"{num_rows}{done} of {num_tasks} tasks")

    thread = threading.Thread(target=show_until_stopped, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _num_done(context: SparkContext, group: str) -> int:
    """Finished tasks of all stages; Spark forgets stages only after the first thousand."""
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = {stage for job in jobs if job for stage in job.stageIds}
    infos = [tracker.getStageInfo(stage) for stage in stages]
    return sum(info.numCompletedTasks for info in infos if info)
