"""How a command ends, with real processes."""

import subprocess
import sys

from command.entry import BROKEN_PIPE_CODE

TALKATIVE = """
import sys
from command.entry import exit_code

def work():
    while True:
        print("a line", flush=True)

sys.exit(exit_code(work))
"""


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
