"""The preparation as the script that people write first: all lines in memory, one expression, JSON lines. One core."""

import html
import json
import re
import sys

import pandas as pd

from bench.prepare.work import COLUMNS, SHARD_ROWS, parse_work


def main(arguments: list[str]) -> None:
    """Reads everything, unescapes, squeezes blanks, drops what is empty or twice, writes files of 100,000 lines."""
    work = parse_work(arguments, description=__doc__)
    with open(work.input, encoding="utf-8") as lines:
        frame = pd.DataFrame([json.loads(line) for line in lines])[list(COLUMNS)].fillna("")
    for name in ("title", "content"):
        frame[name] = [re.sub(r"\s+", " ", html.unescape(text)).strip() for text in frame[name]]
    frame = frame[(frame["title"] != "") & (frame["content"] != "")].drop_duplicates(["title", "content"])
    for number, first in enumerate(range(0, len(frame), SHARD_ROWS)):
        shard = frame.iloc[first : first + SHARD_ROWS]
        shard.to_json(work.output / f"part-{number:05d}.jsonl", orient="records", lines=True, force_ascii=False)


if __name__ == "__main__":
    main(sys.argv[1:])
