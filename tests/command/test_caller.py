"""What processes of one command report to it, with real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from command.caller import CALLER, calling, end_with_caller, is_reported, report, reported_code

PART = """
import sys
from contract.errors import UserError
from command.entry import exit_code

def work():
    raise {error}

sys.exit(exit_code(work))
"""


def ended(error: str, path: Path | None) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != CALLER}
    environment |= {CALLER: str(path)} if path else {}
    argv = [sys.executable, "-c", PART.format(error=error)]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_what_several_processes_met_is_said_once() -> None:
    with calling() as path:
        assert reported_code(path) is None
        said = [ended(f"UserError({text!r})", path) for text in ("no\ndata", "no\ndata", "no disk", "no\ndata")]
        assert reported_code(path) == 2

    assert [part.returncode for part in said] == [2] * 4
    assert [part.stderr for part in said] == ["error: no\ndata\n", "", "error: no disk\n", ""]
    assert not path.parent.exists()


def test_how_others_fail_after_one_has_said_why_is_not_told_but_a_crash_is() -> None:
    with calling() as path:
        crashed = ended("RuntimeError('connection lost')", path)
        ended("UserError('no data')", path)
        lost = ended("RuntimeError('connection lost')", path)
    alone = ended("RuntimeError('connection lost')", None)

    for crash in (crashed, alone):
        assert crash.returncode == 1
        assert crash.stderr.endswith("RuntimeError: connection lost\n")
    assert (lost.returncode, lost.stderr) == (2, "")


def test_without_a_command_everything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CALLER, raising=False)
    assert not is_reported()
    assert report(2, "x")
    assert report(2, "x")


def test_a_command_of_another_machine_ends_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CALLER, str(tmp_path / "gone" / "path"))
    before = threading.active_count()
    end_with_caller()
    while threading.active_count() > before:
        time.sleep(0.01)


COMMAND = """
import os, subprocess, sys, time
from command.caller import CALLER, calling
with calling() as path:
    part = "import time; from command import caller; caller.end_with_caller(); print(1, flush=True); time.sleep(60)"
    subprocess.run([sys.executable, "-c", part], env=os.environ | {CALLER: str(path)}, start_new_session=True)
"""


def test_a_process_ends_with_its_command_however_that_ends() -> None:
    command = subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    assert command.stdout.readline() == "1\n"

    time.sleep(0.5)
    assert command.poll() is None
    command.send_signal(signal.SIGKILL)
    assert command.stdout.read() == ""  # only once no process holds the pipe
    assert command.wait() == -signal.SIGKILL
