"""All steps of `vitrine prepare` in Polars, on all cores. Run by bench.prepare.

It leaves out the steps that bench/prepare/steps.py names, and two more: broken JSON, at which `scan_ndjson` stops, and
byte offsets, as it gives only the number of a line among those that are not empty. A record's key is Polars' own hash
of 64 bits; with 1.4 million records, one run in 20 million has two records of the same key.

All lines are read before they are cleaned. Then Polars itself replaces the entities by a table of those that occur, in
a third of the time that `html.unescape` of each text takes. `scan_ndjson` gives some 700 lines at a time; for so few
lines, to build the table costs more than it saves. Compression is ours: zstd, level 1.
"""

import os
import sys

from bench.prepare.work import parse_work


def main(arguments: list[str]) -> None:
    """Runs all steps, with as many threads as cores."""
    work = parse_work(arguments, description=__doc__)
    os.environ["POLARS_MAX_THREADS"] = str(work.cores)  # read when polars is imported
    from bench.prepare.peers.by_polars_query import prepare

    prepare(work)


if __name__ == "__main__":
    main(sys.argv[1:])
