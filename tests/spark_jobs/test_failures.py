"""Tasks that fail and are tried again, and jobs that are killed."""

import doctest
import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark import TaskContext

from contract.manifest import find_manifest, read_manifest
from contract.verify.data_set import verify
from spark_jobs import steps
from spark_jobs.session import failures
from tests.spark_jobs.catalogues import catalogue, write
from tests.spark_jobs.conftest import Prepare
from tests.spark_jobs.processes import IS_LINUX, KILLS, start

pytestmark = pytest.mark.spark


def failing_at_first(function: Callable[..., Any], marks: Path) -> Callable[..., Any]:
    """The function, but each first attempt of a task does the whole work and then fails, leaving a mark."""

    def fail_at_first(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if isinstance(result, Iterator):
            result = iter(list(result))
        if TaskContext.get().attemptNumber() == 0:
            (marks / uuid.uuid4().hex).touch()
            raise RuntimeError("injected")
        return result

    return fail_at_first


@pytest.mark.parametrize("step", ["rows_of_part", "rows_of_pieces", "stage_bucket", "write_shard"])
def test_tasks_that_are_tried_again_change_nothing(
    run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    source = write(tmp_path / "in.json", catalogue(300))
    expected = run(source, tmp_path / "plain", partitions=3, shard_rows=60, master="local[2,4]")
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setattr(steps, step, failing_at_first(getattr(steps, step), marks))
    manifest = run(source, tmp_path / "out", partitions=3, shard_rows=60, master="local[2,4]")
    assert list(marks.iterdir()), "no attempt failed"
    assert (manifest.dataset_id, manifest.rows) == (expected.dataset_id, expected.rows)
    assert manifest.rejected == expected.rejected


def test_a_task_that_always_fails_leaves_no_manifest(
    run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("injected")

    source = write(tmp_path / "in.json", catalogue(300))
    with monkeypatch.context() as patch:
        patch.setattr(steps, "write_shard", fail)
        with pytest.raises(Exception, match="injected"):  # whatever Spark makes of it
            run(source, tmp_path / "out")
    assert find_manifest(str(tmp_path / "out")) is None
    run(source, tmp_path / "out")


def has_begun(output: Path, kind: str) -> bool:
    return bool(list(output.glob(f"{kind}*")))


@pytest.mark.slow
def test_a_job_killed_at_any_moment_leaves_no_data_set_and_the_next_one_succeeds(run: Prepare, tmp_path: Path) -> None:
    source = write(tmp_path / "in.json", catalogue(4_000))
    expected = run(source, tmp_path / "expected", shard_rows=200, partitions=12, val_share=0.01, test_share=0.01)
    output = tmp_path / "out"
    moments = random.Random(3)
    killed_in = []
    for stage in ["start"] * KILLS + [".staging-*/*"] * 2 * KILLS + ["train/*"] * 2 * KILLS:
        present = set(output.glob(stage)) if stage != "start" else set()
        process = start(source, output, tmp_path / "log").process
        while stage != "start" and set(output.glob(stage)) <= present and process.poll() is None:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 4.0 if stage == "start" else 0.4))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        manifest = find_manifest(str(output))
        killed_in.append((stage, "published" if manifest else "not published"))
        if manifest:  # it had just finished, so it must be whole; take it away to go on
            assert manifest.dataset_id == expected.dataset_id
            assert verify(str(output)).is_sound
            (output / "manifest.json").unlink()
    assert sum(state == "not published" for _, state in killed_in) >= 3 * KILLS, killed_in
    assert has_begun(output, ".staging-"), "no kill left anything behind"

    assert run(source, output, shard_rows=200, partitions=12, val_share=0.01, test_share=0.01) == replace(
        expected, created_at=read_manifest(str(output)).created_at
    )
    assert not has_begun(output, ".staging-")


@pytest.mark.skipif(not IS_LINUX, reason="looks for processes as Linux shows them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay_s", [0.2, 0.5, 0.8, 1.2, 2.0])
def test_a_signal_while_spark_starts_leaves_no_process_and_no_file(
    tmp_path: Path, number: signal.Signals, delay_s: float
) -> None:
    job = start(write(tmp_path / "in.json", catalogue(20_000)), tmp_path / "out", tmp_path / "log")
    time.sleep(delay_s)
    job.process.send_signal(number)
    assert job.process.wait(30) == 128 + number, job.said()
    assert job.said() == ["stopped; the next run deletes what this one left unfinished"] * (number == signal.SIGINT)
    job.wait_for_nobody()
    assert not has_begun(tmp_path / "out", ".staging-")


@pytest.mark.slow
def test_an_interrupt_ends_the_job_in_a_line_and_tidily(tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = start(write(tmp_path / "in.json", catalogue(4_000)), output, tmp_path / "log")
    while not has_begun(output, ".staging-") and job.process.poll() is None:
        time.sleep(0.005)
    os.killpg(job.process.pid, signal.SIGINT)
    assert job.process.wait() == 128 + signal.SIGINT
    assert job.said() == ["stopped; the next run deletes what this one left unfinished"]
    assert find_manifest(str(output)) is None


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(failures)
    assert (result.failed, result.attempted > 0) == (0, True)
