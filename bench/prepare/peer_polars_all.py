"""All steps of `vitrine prepare` in Polars, on all cores. Run by bench.prepare.

Left out, beside what bench/prepare/steps.py says: broken JSON, since `scan_ndjson` stops at it; byte offsets, since it
tells only the number of a line that is not empty. A record's key is Polars' own hash of 64 bits: in one run of 20
million two of 1.4 million records share theirs.

The lines are read before they are cleaned, since `scan_ndjson` hands on some 700 at a time. Over all of them Polars
finds and replaces entities itself, by a table of those that occur, in a third of the time of a `html.unescape` for each
text; over 700, building the table costs more than that. Compression as ours: zstd, level 1.
"""

import os
import sys

from bench.prepare.work import parse_work


def main(arguments: list[str]) -> None:
    """All steps, with as many threads as cores."""
    work = parse_work(arguments, description=__doc__)
    os.environ["POLARS_MAX_THREADS"] = str(work.cores)  # read when polars is imported
    from bench.prepare.peer_polars_query import prepare

    prepare(work)


if __name__ == "__main__":
    main(sys.argv[1:])
