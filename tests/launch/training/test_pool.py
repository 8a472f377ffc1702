"""Jobs beside each other: each in its place, none of them in another's way, and all of them ended by a signal."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.training.pool import Job, Pool


class Seen:
    """What a pool reports of its jobs."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.codes: dict[int, int] = {}
        self.most_at_once = 0

    def begin(self, number: int) -> None:
        self.begun.append(number)
        self.most_at_once = max(self.most_at_once, len(self.begun) - len(self.codes))

    def end(self, number: int, code: int) -> None:
        self.codes[number] = code


def run(*programs: str, places: list[dict[str, str]]) -> tuple[Seen, int | None]:
    seen = Seen()
    jobs = [Job(f"job {number}", [sys.executable, "-c", program]) for number, program in enumerate(programs)]
    return seen, Pool(places, on_begin=seen.begin, on_end=seen.end).run(jobs)


def test_every_line_has_its_label_and_each_job_its_place(capfd: pytest.CaptureFixture[str]) -> None:
    program = "import os, sys; print('at', os.environ['PLACE']); print('wrong', file=sys.stderr)"
    seen, stopped_by = run(*[program] * 3, places=[{"PLACE": "a"}, {"PLACE": "b"}])

    out, err = capfd.readouterr()
    assert stopped_by is None
    assert seen.codes == {0: 0, 1: 0, 2: 0}
    assert seen.most_at_once == 2
    lines = out.splitlines()
    assert {line.partition(": ")[0] for line in lines} == {"job 0", "job 1", "job 2"}
    assert {line.partition(": at ")[2] for line in lines} == {"a", "b"}
    assert sorted(err.splitlines()) == ["job 0: wrong", "job 1: wrong", "job 2: wrong"]


def test_jobs_stop_where_nobody_reads_what_they_print(tmp_path: Path) -> None:
    """As in `vitrine train --parts 2 | head -1`; they do not wait for a reader for ever."""
    pool = f"""
import sys
from launch.training.pool import Job, Pool
program = "while True: print('a line')"
jobs = [Job(f"job {{number}}", [sys.executable, "-c", program]) for number in range(3)]
stopped_by = Pool([{{}}, {{}}], on_begin=print, on_end=print).run(jobs)
open({str(tmp_path / "ended")!r}, "w").write(str(stopped_by))
"""
    command = subprocess.Popen([sys.executable, "-c", pool], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert command.stdout is not None
    command.stdout.readline()
    command.stdout.close()

    command.wait(timeout=20)
    assert (tmp_path / "ended").read_text() == str(int(signal.SIGPIPE))


def test_a_job_that_fails_stops_no_other_and_its_end_is_explained(capfd: pytest.CaptureFixture[str]) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    refused = "import sys; from command.entry import exit_code\ndef f(): raise E('no such base')\n"
    refused += "from contract.errors import UserError as E; sys.exit(exit_code(f))"
    asked = killed.replace("SIGKILL", "SIGTERM")
    seen, _ = run(refused, killed, "print('fine')", asked, places=[{}])

    out, err = capfd.readouterr()
    assert seen.codes == {0: 2, 1: 137, 2: 0, 3: 143}
    assert out == "job 2: fine\n"
    assert err.splitlines() == [
        "job 0: error: no such base",
        "error: job 1 was ended from outside (exit code 137), most often by the system for lack of memory; --resume"
        " goes on with it",
        "error: job 3 was ended from outside (exit code 143); --resume goes on with it",
    ]


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_signal_ends_the_jobs_at_work_and_begins_no_other(tmp_path: Path) -> None:
    program = f"import os, time, uuid; open(f'{tmp_path}/{{os.getpid()}}', 'w'); time.sleep(60)"

    def stop() -> None:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    seen, stopped_by = run(program, program, program, places=[{}, {}])

    assert stopped_by == signal.SIGTERM
    assert seen.begun == [0, 1]
    assert seen.codes == {}
    for path in tmp_path.iterdir():
        assert subprocess.run(["ps", "-p", path.name], capture_output=True).returncode == 1
