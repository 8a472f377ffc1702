"""The steps of bench/prepare/peers/by_polars_all.py, which sets the number of threads before it imports Polars."""

from collections.abc import Iterator

import polars as pl

from bench.prepare.steps import (
    BLOCK_TAG,
    ENTITY,
    HIDDEN,
    INLINE_TAG,
    MAX_UNESCAPES,
    MAY_COMPOSE,
    NOT_KEPT,
    PERCENT_OF_SPLIT,
    VANISHES,
    unescaped,
    write_manifest,
)
from bench.prepare.work import BLANKS, COLUMNS, SHARD_ROWS, Work
from contract.columns import REJECTED, ROW_GROUP_ROWS


def prepare(work: Work) -> None:
    """Reads, cleans, sorts; writes files, rejected lines and the manifest."""
    rows = cleaned(work)
    rejected = rows.filter(pl.col("reason").is_not_null())
    records = marked(rows.filter(pl.col("reason").is_null()))
    del rows
    duplicates = records.filter(pl.col("is_duplicate")).with_columns(reason=pl.lit("duplicate"))
    rejected = pl.concat(
        part.select("reason", "line", "uid", title="raw_title") for part in (rejected, duplicates)
    ).sort("line")
    records = records.filter(~pl.col("is_duplicate"))
    files = dict(write(rejected, REJECTED, work=work))
    for split, percent in PERCENT_OF_SPLIT.items():
        is_of_split = pl.col("percent").is_between(percent.start, percent.stop - 1)
        files |= write(records.filter(is_of_split).select(*COLUMNS, "key"), split, work=work)
    write_manifest(work, files=files, rejected=dict(rejected["reason"].value_counts().iter_rows()))


def cleaned(work: Work) -> pl.DataFrame:
    """One row a line, with cleaned texts: line, uid, raw_title, title, content, reason (null: not rejected so far)."""
    lines = (
        pl.scan_ndjson(work.input, schema=dict.fromkeys(COLUMNS, pl.String), row_index_name="line")
        .with_columns(pl.col("title", "content").fill_null(""), raw_title="title")
        .collect(engine="in-memory")
        .rechunk()
    )
    is_empty = {name: pl.col(name).str.len_bytes() == 0 for name in ("title", "content")}
    return (
        lines.lazy()
        .pipe(clean, "title")
        .with_columns(pl.when(is_empty["title"]).then(pl.lit("")).otherwise("content").alias("content"))
        .pipe(clean, "content")
        .with_columns(
            reason=pl.when(is_empty["title"])
            .then(pl.lit("no_title"))
            .when(is_empty["content"])
            .then(pl.lit("no_content"))
        )
        .collect(engine="streaming")
    )


def clean(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """The same rows with this column cleaned."""
    text = pl.col(name)
    shown = text.str.replace_all(HIDDEN, "").str.replace_all(INLINE_TAG, "").str.replace_all(BLOCK_TAG, " ")
    return (
        rows.with_columns(text.map_batches(unescape, return_dtype=pl.String, is_elementwise=True))
        .with_columns(pl.when(text.str.contains("<", literal=True)).then(shown).otherwise(text))
        .with_columns(pl.when(text.str.contains(MAY_COMPOSE)).then(text.str.normalize("NFC")).otherwise(text))
        .with_columns(
            text.str.replace_all(VANISHES, "")
            .str.replace_all(NOT_KEPT, " ")
            .str.replace_all(BLANKS, " ")
            .str.strip_chars(" ")
        )
    )


def unescape(texts: pl.Series) -> pl.Series:
    """The texts without entities. A text that then still holds one is unescaped again, at most MAX_UNESCAPES times."""
    rows = texts.str.contains(ENTITY).arg_true()
    for _ in range(MAX_UNESCAPES):
        some = texts.gather(rows)
        table = unescaped(some.str.extract_all(ENTITY).explode().unique().drop_nulls())
        if not table:
            break
        some = some.str.replace_many(table, leftmost=True)
        texts = texts.clone().scatter(rows, some)
        rows = rows.filter(some.str.contains(ENTITY))
    return texts


def marked(records: pl.DataFrame) -> pl.DataFrame:
    """The same rows ordered by key, with columns added: key, percent (which decides the split), is_duplicate."""
    return (
        records.with_columns(key=pl.struct("title", "content").hash(), percent=pl.col("title").hash(seed=1) % 100)
        .sort("key", "uid", "line", nulls_last=True)
        .with_columns(is_duplicate=(pl.col("key") == pl.col("key").shift()).fill_null(value=False))
    )


def write(rows: pl.DataFrame, section: str, *, work: Work) -> Iterator[tuple[str, int]]:
    """Writes files of SHARD_ROWS rows each; yields the path of each and its number of rows."""
    for number, piece in enumerate(rows.iter_slices(SHARD_ROWS)):
        path = f"{section}/part-{number:05d}.parquet"
        piece.write_parquet(
            work.output / path,
            compression="zstd",
            compression_level=1,
            row_group_size=ROW_GROUP_ROWS,
            statistics=False,
            mkdir=True,
        )
        yield path, len(piece)
