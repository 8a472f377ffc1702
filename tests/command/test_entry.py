"""How a command ends, with real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from command.entry import BROKEN_PIPE_CODE, USER_ERROR_CODE

TALKATIVE = """
import sys
from command.entry import exit_code

def work():
    while True:
        print("a line", flush=True)

sys.exit(exit_code(work))
"""

SPARING = """
import sys
from command.entry import exit_code

def work():
    sys.stdin.read()
    print("a line\\n" * int(sys.argv[1]))

sys.exit(exit_code(work))
"""

WRITERS = {
    "python": "import pathlib; pathlib.Path('/dev/full').write_text('a line')",
    "arrow": "import pyarrow; pyarrow.OSFile('/dev/full', 'wb').write(b'a line')",
}


def test_a_command_whose_reader_has_read_enough_ends_in_silence() -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", TALKATIVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    assert command.stderr is not None
    assert command.stdout.readline() == "a line\n"

    command.stdout.close()

    assert command.stderr.read() == ""
    assert command.wait(timeout=20) == BROKEN_PIPE_CODE


@pytest.mark.parametrize("num_lines", [1, 100_000])
def test_output_that_is_left_at_the_end_is_not_missed_either(num_lines: int) -> None:
    """Python's own message of a broken pipe comes after the command, from a buffer that could not be written."""
    command = subprocess.Popen(
        [sys.executable, "-c", SPARING, str(num_lines)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdin is not None
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()
    command.stdin.close()

    assert command.stderr.read() == ""
    assert command.wait(timeout=20) == BROKEN_PIPE_CODE


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_a_line_that_says_what_to_do(writer: str, tmp_path: Path) -> None:
    ended = _ended(WRITERS[writer], tmp_path)

    assert ended.returncode == USER_ERROR_CODE
    assert ended.stderr.startswith("error: a disk is full (")
    assert str(tmp_path) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_other_errors_keep_their_traceback(tmp_path: Path) -> None:
    ended = _ended("1 / 0", tmp_path)

    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


def _ended(work: str, cache: Path) -> subprocess.CompletedProcess[str]:
    program = f"""
import sys
from command.entry import exit_code

def work():
    {work}

sys.exit(exit_code(work))
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
