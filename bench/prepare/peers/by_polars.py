"""The preparation in Polars: a lazy scan, its streaming engine, all cores. Run by bench.prepare.

Polars cannot unescape HTML. Python's function, called for each text that holds an `&`, took 5.3 s for 600,000 lines;
called with whole batches it took 7.2 s. `replace_many` with a table of 10,000 entities, which is not quite HTML5, took
2.6 s for 200,000 lines, where the function took 2.0 s. A table of only the entities that occur, as in
bench/prepare/peers/by_polars_query.py, saves less than a tenth of the time here and needs more memory, since all lines
must be read first. Polars' in-memory engine needs the same time and memory.
"""

import html
import os
import sys

from bench.prepare.work import BLANKS, COLUMNS, NOT_KEPT, SHARD_ROWS, parse_work


def main(arguments: list[str]) -> None:
    """Runs one query from the JSON lines to the Parquet files."""
    work = parse_work(arguments, description=__doc__)
    os.environ["POLARS_MAX_THREADS"] = str(work.cores)  # read when polars is imported
    import polars as pl

    def clean(name: str) -> pl.Expr:
        raw = pl.col(name)
        unescaped = raw.map_elements(html.unescape, return_dtype=pl.String)
        texts = pl.when(raw.str.contains("&", literal=True)).then(unescaped).otherwise(raw)
        return texts.str.replace_all(NOT_KEPT, " ").str.replace_all(BLANKS, " ").str.strip_chars().alias(name)

    is_filled = [pl.col(name).str.len_bytes() > 0 for name in ("title", "content")]
    (
        pl.scan_ndjson(work.input, schema=dict.fromkeys(COLUMNS, pl.String))
        .filter(is_filled)
        .with_columns(clean("title"), clean("content"))
        .filter(is_filled)
        .unique(["title", "content"], keep="any", maintain_order=False)
        .sink_parquet(
            pl.PartitionBy(work.output, max_rows_per_file=SHARD_ROWS, approximate_bytes_per_file=None),
            compression="zstd",
            maintain_order=False,
            engine="streaming",
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
