"""What is printed, with real processes, in encodings that lack its characters."""

import json
import os
import subprocess
import sys

import pytest

PRINTS = """
import json, sys
from command.entry import exit_code
from command.progress import ProgressBar
from contract.errors import UserError

TEXT = "Caf\\u00e9 \\u8336 \\U0001f375 \\udce9"

def work():
    print(json.dumps({"title": TEXT}, ensure_ascii=False))
    ProgressBar("caf\\u00e9:").done("\\u8336")
    raise UserError(TEXT)

sys.exit(exit_code(work))
"""


def run(encoding: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "PYTHONIOENCODING": encoding, **environment}
    return subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("encoding", "title"),
    [
        ("ascii", r"Caf\u00e9 \u8336 \ud83c\udf75 \udce9"),
        ("latin-1", r"Café \u8336 \ud83c\udf75 \udce9"),
        ("cp1252", r"Café \u8336 \ud83c\udf75 \udce9"),
        ("utf-8", r"Café 茶 🍵 \udce9"),
    ],
)
def test_no_character_ends_a_command_and_json_stays_json(encoding: str, title: str) -> None:
    done = run(encoding)

    assert done.returncode == 2, done.stderr
    assert done.stdout.decode(encoding).rstrip("\n") == f'{{"title": "{title}"}}'
    assert json.loads(done.stdout.decode(encoding))["title"] == "Caf\u00e9 \u8336 \U0001f375 \udce9"
    assert done.stderr.decode(encoding).splitlines()[-1] == f"error: {title}"
    assert len(done.stderr.splitlines()) == 2


def test_a_locale_without_utf_8_is_no_obstacle() -> None:
    done = run("", LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")

    assert done.returncode == 2, done.stderr
    assert done.stdout == b'{"title": "Caf\\u00e9 \\u8336 \\ud83c\\udf75 \\udce9"}\n'
