"""Progress of Spark jobs, from Spark's own account of its tasks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pyspark import SparkContext

from contract.progress import Progress

_INTERVAL_S: Final = 0.2


@contextmanager
def watch_tasks(context: SparkContext, *, group: str, num_tasks: int, label: str) -> Iterator[None]:
    """Shows how many of `num_tasks` the jobs of this group have finished, while the body runs."""
    context.setJobGroup(group, label, interruptOnCancel=True)
    progress = Progress(label)
    stop = threading.Event()

    def show_until_stopped() -> None:
        while not stop.wait(_INTERVAL_S):
            done = min(_num_done(context, group), num_tasks)
            progress.show(done / num_tasks, f"{done} of {num_tasks} tasks")

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
