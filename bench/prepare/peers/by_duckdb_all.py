"""All steps of `vitrine prepare` in DuckDB, on all cores. Run by bench.prepare.

It leaves out the steps that bench/prepare/steps.py names, and byte offsets: `read_json` gives only the order of the
lines that are not empty. It reads a broken line as nulls, so a record without any of the three fields counts as
`not_json` too. A record's key is DuckDB's own hash of 64 bits; with 1.4 million records, one run in 20 million has two
records of the same key. Row groups are whole vectors of 2,048 rows.

DuckDB cannot unescape HTML. It calls a Python function with some 350 texts at a time. That function joins them, splits
them by a regex and looks entities up in a cache: 0.09 s of CPU for 100,000 lines, where `html.unescape` of each text
takes 0.15 s. Files are copied from a sorted table, several at a time. Compression is ours: zstd, level 1.
"""

import html
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Final

import duckdb
import pyarrow as pa

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
    write_manifest,
)
from bench.prepare.work import BLANKS, COLUMNS, SHARD_ROWS, Work, parse_work
from contract.columns import REJECTED, ROW_GROUP_ROWS

_CLEANED: Final = """
CREATE TABLE cleaned AS
SELECT uid, raw_title, title, content, hash(title, content) AS key,
    CASE
        WHEN uid IS NULL AND raw_title IS NULL AND raw_content IS NULL THEN 'not_json'
        WHEN title = '' THEN 'no_title'
        WHEN content = '' THEN 'no_content'
    END AS reason
FROM ({clean})
"""
_LINES: Final = """
    SELECT uid, title AS raw_title, content AS raw_content,
        coalesce(title, '') AS title, coalesce(content, '') AS content
    FROM read_json($input, format = 'newline_delimited', columns = {columns}, ignore_errors = true)
"""
_DUPLICATES: Final = """
CREATE TABLE duplicates AS
SELECT line FROM (
    SELECT rowid AS line, row_number() OVER (PARTITION BY key ORDER BY uid, rowid) AS rank
    FROM cleaned
    WHERE reason IS NULL
        AND key IN (SELECT key FROM cleaned WHERE reason IS NULL GROUP BY key HAVING count(*) > 1)
)
WHERE rank > 1
"""
_REJECTED: Final = """
CREATE TABLE rejected AS
SELECT coalesce(reason, 'duplicate') AS reason, rowid AS line, uid, raw_title AS title
FROM cleaned
WHERE reason IS NOT NULL OR rowid IN (SELECT line FROM duplicates)
ORDER BY line
"""
_RECORDS: Final = """
CREATE TABLE {split} AS
SELECT uid, title, content, key
FROM cleaned
WHERE reason IS NULL AND hash(title) % 100 BETWEEN {first} AND {last} AND rowid NOT IN (SELECT line FROM duplicates)
ORDER BY key
"""
_COPY: Final = """
COPY (SELECT * FROM {table} WHERE rowid BETWEEN {first} AND {last}) TO {path}
(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {row_group_rows})
"""

_ENTITY: Final = re.compile(f"({ENTITY})".encode())
_BETWEEN: Final = b"\xff"  # no byte of UTF-8


def main(arguments: list[str]) -> None:
    """Reads, cleans, sorts; writes files, rejected lines and the manifest."""
    work = parse_work(arguments, description=__doc__)
    lines = _LINES.format(columns=dict.fromkeys(COLUMNS, "VARCHAR"))
    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {work.cores}")
        connection.create_function("unescape", unescape, ["VARCHAR"], "VARCHAR", type="arrow")
        connection.execute(_CLEANED.format(clean=cleaning(lines)), {"input": str(work.input)})
        connection.execute(_DUPLICATES)
        connection.execute(_REJECTED)
        for split, percent in PERCENT_OF_SPLIT.items():
            connection.execute(_RECORDS.format(split=split, first=percent.start, last=percent.stop - 1))
        connection.execute("DROP TABLE cleaned")
        files: dict[str, int] = {}
        for section in (*PERCENT_OF_SPLIT, REJECTED):
            files |= copy(connection, section, work=work)
        reasons = connection.execute(f"SELECT reason, count(*) FROM {REJECTED} GROUP BY reason ORDER BY reason")
        write_manifest(work, files=files, rejected=dict(reasons.fetchall()))


def cleaning(lines: str) -> str:
    """The query that cleans title and content of these lines, with a subquery a step so that none is computed twice."""
    query = lines
    for step in steps("title"):
        query = f"SELECT * REPLACE ({step} AS title) FROM ({query})"
    query = f"SELECT * REPLACE (CASE WHEN title = '' THEN '' ELSE content END AS content) FROM ({query})"
    for step in steps("content"):
        query = f"SELECT * REPLACE ({step} AS content) FROM ({query})"
    return query


def steps(name: str) -> Iterator[str]:
    """The steps that clean a text, in order, each as an SQL expression."""
    yield f"CASE WHEN contains({name}, '&') THEN unescape({name}) ELSE {name} END"
    shown = replaced(replaced(replaced(name, HIDDEN, by=""), INLINE_TAG, by=""), BLOCK_TAG, by=" ")
    yield f"CASE WHEN contains({name}, '<') THEN {shown} ELSE {name} END"
    yield f"CASE WHEN regexp_matches({name}, {quoted(MAY_COMPOSE)}) THEN nfc_normalize({name}) ELSE {name} END"
    yield f"trim({replaced(replaced(replaced(name, VANISHES, by=''), NOT_KEPT, by=' '), BLANKS, by=' ')})"


def replaced(expression: str, pattern: str, *, by: str) -> str:
    """The SQL expression that replaces every match of the pattern."""
    return f"regexp_replace({expression}, {quoted(pattern)}, {quoted(by)}, 'g')"


def quoted(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def unescape(texts: pa.ChunkedArray) -> pa.Array:
    """The texts without entities."""
    joined = _BETWEEN.join(texts.cast(pa.binary()).to_pylist())
    for _ in range(MAX_UNESCAPES):
        parts = _ENTITY.split(joined)
        if len(parts) == 1:
            break
        parts[1::2] = map(_unescaped, parts[1::2])
        joined = b"".join(parts)
    return pa.array(joined.split(_BETWEEN), pa.binary()).cast(pa.string())


@lru_cache(maxsize=50_000)
def _unescaped(entity: bytes) -> bytes:
    return html.unescape(entity.decode()).encode()


def copy(connection: duckdb.DuckDBPyConnection, table: str, *, work: Work) -> dict[str, int]:
    """Writes files of SHARD_ROWS rows each; returns the number of rows by path."""
    (work.output / table).mkdir()
    [(num_rows,)] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    starts = range(0, num_rows, SHARD_ROWS)
    files = {
        f"{table}/part-{number:05d}.parquet": range(start, min(start + SHARD_ROWS, num_rows))
        for number, start in enumerate(starts)
    }

    def write(path: str) -> None:
        statement = _COPY.format(
            table=table,
            first=files[path].start,
            last=files[path].stop - 1,
            path=quoted(str(work.output / path)),
            row_group_rows=ROW_GROUP_ROWS,
        )
        with connection.cursor() as cursor:
            cursor.execute(statement)

    with ThreadPoolExecutor(work.cores) as threads:
        list(threads.map(write, files))
    return {path: len(rows) for path, rows in files.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
