"""What the contestants of bench.prepare share: their options, and the one regex of the plain script and its like.

Their rule is simpler than ours (for that one see bench/prepare/steps.py): HTML5 entities once, then every run of
characters other than letters, numbers, commas and full stops becomes a blank (the underscore stays, as in Python's
`\\w`). They keep the names of tags and the two halves of `it's`, repair no mojibake, and drop empty texts and exact
duplicates all the same.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHARD_ROWS: Final = 100_000
COLUMNS: Final = ("uid", "title", "content")
# Python's [^\w,.]+ as Rust and RE2 spell it, in two steps: as a text is mostly words with single blanks between them,
# replacing those by themselves takes more than half of the time of this step.
NOT_KEPT: Final = r"[^\p{L}\p{N}_,. ]+"
BLANKS: Final = "  +"


@dataclass(frozen=True)
class Work:
    """One run: what to read, the empty folder to write to, and how many cores to use."""

    input: Path
    output: Path
    cores: int


def parse_work(arguments: list[str], *, description: str | None) -> Work:
    """The command line of a contestant."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--input", type=Path, required=True, help="JSON lines")
    parser.add_argument("--output", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--cores", type=int, default=2)
    work = Work(**vars(parser.parse_args(arguments)))
    work.output.mkdir(parents=True, exist_ok=True)
    return work
