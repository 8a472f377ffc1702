"""The preparation as a short script: a loop over the lines, then pandas, on one core. Run by bench.prepare."""

import html
import json
import re
import sys
from typing import Final

import pandas as pd

from bench.prepare.work import COLUMNS, SHARD_ROWS, parse_work

_NOT_KEPT: Final = re.compile(r"[^\w,.]+")


def clean(text: str) -> str:
    """The text without entities, with a blank for each run of characters that are not kept."""
    return _NOT_KEPT.sub(" ", html.unescape(text)).strip()


def main(arguments: list[str]) -> None:
    """Reads and cleans line by line, drops duplicates, writes the files."""
    work = parse_work(arguments, description=__doc__)
    records = []
    with open(work.input, encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            title, content = clean(fields.get("title") or ""), clean(fields.get("content") or "")
            if title and content:
                records.append((fields["uid"], title, content))
    frame = pd.DataFrame(records, columns=list(COLUMNS)).drop_duplicates(["title", "content"])
    for number, first in enumerate(range(0, len(frame), SHARD_ROWS)):
        shard = frame.iloc[first : first + SHARD_ROWS]
        shard.to_parquet(work.output / f"part-{number:05d}.parquet", compression="zstd", index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
