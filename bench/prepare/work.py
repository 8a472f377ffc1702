"""The options of all peers of bench.prepare, and the rule by which those with plain steps clean a text.

That rule is simpler than ours (bench/prepare/steps.py): HTML5 entities are unescaped once, then every run of characters
other than letters, numbers, commas, full stops and the underscore (as in Python's `\\w`) becomes a blank. The names of
tags and the two halves of `it's` stay, and mojibake is not repaired. Empty texts and exact duplicates are dropped.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHARD_ROWS: Final = 100_000
COLUMNS: Final = ("uid", "title", "content")
# Python's [^\w,.]+ for Rust and RE2, in two steps. A text is mostly words with single blanks between them, and to
# replace each of those blanks by itself would take more than half of the time.
NOT_KEPT: Final = r"[^\p{L}\p{N}_,. ]+"
BLANKS: Final = "  +"


@dataclass(frozen=True)
class Work:
    """One run: the input, the empty folder of the output, and the number of cores."""

    input: Path
    output: Path
    cores: int


def parse_work(arguments: list[str], *, description: str | None) -> Work:
    """The options of a peer's command line. Makes the folder of the output."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--input", type=Path, required=True, help="JSON lines")
    parser.add_argument("--output", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--cores", type=int, default=2)
    work = Work(**vars(parser.parse_args(arguments)))
    work.output.mkdir(parents=True, exist_ok=True)
    return work
