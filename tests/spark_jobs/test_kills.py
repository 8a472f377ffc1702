"""Processes of a preparation that are killed, and preparations that meet in one output."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from contract.manifest import find_manifest
from contract.verify.data_set import verify
from tests.spark_jobs.catalogues import catalogue, check_files, write
from tests.spark_jobs.conftest import Prepare
from tests.spark_jobs.processes import IS_LINUX, KILLS, Run, start

pytestmark = [pytest.mark.spark, pytest.mark.skipif(not IS_LINUX, reason="looks for processes as Linux shows them")]

_LONGEST_S: Final = {"driver": 4.0, "java": 3.0, "worker": 1.5}  # about what is left of the job when there is one
_SETTINGS: Final = {"shard_rows": 200, "partitions": 12, "val_share": 0.01, "test_share": 0.01}


def pids(run: Run, role: str) -> list[int]:
    """The processes of a role. Workers, and the process that forks them, are copies of the driver.

    That process begins early, and a job does without it where it is gone by its first task: before there is a worker,
    nobody is found.
    """
    if role == "java":
        return run.pids("bin/java")
    driver = run.process.pid
    found = run.pids("spark_jobs.prepare")
    if role == "driver":
        return [pid for pid in found if pid == driver]
    copies = [pid for pid in found if pid != driver]
    return copies if any(parent_of(pid) not in (driver, None) for pid in copies) else []


def parent_of(pid: int) -> int | None:
    """The process that started this one; None where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def kill(run: Run, role: str, *, draw: random.Random) -> bool:
    """Kills one of the run's processes some time after it has begun; whether there was one."""
    while run.process.poll() is None and not pids(run, role):
        time.sleep(0.005)
    time.sleep(draw.uniform(0, _LONGEST_S[role]))
    if run.process.poll() is None and (found := pids(run, role)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(draw.choice(found), signal.SIGKILL)
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("role", ["driver", "java", "worker"])
def test_a_killed_process_leaves_the_old_data_set_and_nothing_running(run: Prepare, tmp_path: Path, role: str) -> None:
    output = tmp_path / "out"
    old = run(write(tmp_path / "old.json", catalogue(300)), output, **_SETTINGS)
    source = write(tmp_path / "in.json", catalogue(4_000))
    new = run(source, tmp_path / "expected", **_SETTINGS)
    draw = random.Random(role)
    num_killed = 0  # before they had published
    while num_killed < KILLS:
        job = start(source, output, tmp_path / "log", "--overwrite")
        is_killed = kill(job, role, draw=draw)
        code = job.process.wait(60)
        job.wait_for_nobody()
        found = find_manifest(str(output))
        assert found is not None
        report = verify(str(output))
        assert report.is_sound, report.findings
        if found == old:
            assert is_killed, job.said()
            check_how_it_ended(job, role, code)
            num_killed += 1
        else:
            assert found.dataset_id == new.dataset_id
            old = run(tmp_path / "old.json", output, overwrite=True, **_SETTINGS)  # checks what is left, too
    assert run(source, output, overwrite=True, **_SETTINGS).dataset_id == new.dataset_id


def check_how_it_ended(job: Run, role: str, code: int) -> None:
    said = job.said()
    if role == "driver":
        assert (code, said) == (-signal.SIGKILL, [])
        return
    assert code == 2, (code, said)
    assert len(said) == 1, said
    assert said[0].startswith(
        ("error: the Java that Spark runs on was killed or crashed;", "error: Spark did not start: ")
        if role == "java"
        else "error: a Python worker of Spark was killed or crashed;"
    )


@pytest.mark.slow
def test_of_two_jobs_that_write_to_one_output_one_wins_and_the_other_says_so(run: Prepare, tmp_path: Path) -> None:
    sources = [write(tmp_path / "0.json", catalogue(4_000)), write(tmp_path / "1.json", catalogue(3_500))]
    expected = [run(source, tmp_path / f"expected{source.stem}", **_SETTINGS).dataset_id for source in sources]
    output = tmp_path / "out"
    for number in range(KILLS):
        inputs = [sources[0], sources[(number + 1) % 2]]  # at first another one, then the same
        jobs = [
            start(source, output, tmp_path / f"log{place}", *["--overwrite"] * bool(number))
            for place, source in enumerate(inputs)
        ]
        codes = [job.process.wait(120) for job in jobs]
        said = [job.said() for job in jobs]
        winner = find_manifest(str(output))
        assert winner is not None, said
        check_files(output, winner)
        assert sorted(codes) == [0, 2], (codes, said)
        assert len(said[codes.index(2)]) == 1, said
        assert "another preparation has published" in said[codes.index(2)][0]
        assert winner.dataset_id == expected[int(inputs[codes.index(0)].stem)]
