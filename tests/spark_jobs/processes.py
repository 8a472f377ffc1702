"""Preparations in processes of their own, to be killed, and what is left of them.

Kills are few by default; VITRINE_KILLS=30 makes so many of each kind.
"""

import contextlib
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MARK: Final = "VITRINE_TEST_MARK"  # in the environment of all processes of a run, by which they are found
KILLS: Final = int(os.environ.get("VITRINE_KILLS", "1"))
IS_LINUX: Final = Path("/proc/self/environ").exists()  # where processes are shown as files


@dataclass(frozen=True)
class Run:
    """A preparation at work."""

    process: subprocess.Popen[bytes]
    output: Path
    log: Path
    mark: str

    def said(self) -> list[str]:
        """Lines on its stderr but those of progress."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if not line.startswith(("reading", "writing", "prepare"))]

    def pids(self, word: str = "") -> list[int]:
        """Its processes that have this in their command lines."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended, or is another user's
                if self.mark.encode() in (path / "environ").read_bytes():
                    command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found += [int(path.name)] * (word in command)
        return sorted(found)

    def wait_for_nobody(self, within_s: float = 10) -> None:
        """Asserts that nothing is left running."""
        end = time.monotonic() + within_s
        while (left := self.pids()) and time.monotonic() < end:
            time.sleep(0.05)
        assert left == [], [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]


def start(source: Path, output: Path, log: Path, *options: str, **environment: str) -> Run:
    """Begins a preparation in a session of its own."""
    mark = f"vitrine-test-{uuid.uuid4().hex}"
    command = [sys.executable, "-m", "spark_jobs.prepare", "--input", str(source), "--output", str(output)]
    command += ["--master", "local[2]", "--shard-rows", "200", "--partitions", "12", *options]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stderr=file, start_new_session=True, env=os.environ | environment | {MARK: mark}
        )
    return Run(process, output, log, mark)
