"""The preparation in DuckDB: one statement, all cores. Run by bench.prepare.

DuckDB cannot unescape HTML. Python's function, called with Arrow batches of the texts that hold an `&`, takes as long
as a chain of 25 `replace` for the frequent entities, and that chain leaves 174 of 370,000 records wrong. `DISTINCT ON`
is a little faster than `GROUP BY`. Without MATERIALIZED the texts are cleaned twice, since the result is also filtered.
Files hold about SHARD_ROWS rows: whole blocks of 2,048 rows; the last file of each thread is smaller.
"""

import html
import sys
from typing import Final

import duckdb
import pyarrow as pa

from bench.prepare.work import BLANKS, COLUMNS, NOT_KEPT, SHARD_ROWS, parse_work

_STATEMENT: Final = """
COPY (
    WITH cleaned AS MATERIALIZED (
        SELECT uid, {title} AS title, {content} AS content
        FROM read_json($input, format = 'newline_delimited', columns = {columns})
        WHERE title <> '' AND content <> ''
    )
    SELECT DISTINCT ON (title, content) uid, title, content FROM cleaned WHERE title <> '' AND content <> ''
) TO '{output}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}, ROW_GROUPS_PER_FILE 1, OVERWRITE_OR_IGNORE)
"""


def unescape(texts: pa.ChunkedArray) -> pa.Array:
    """The texts without entities."""
    return pa.array([html.unescape(text) for text in texts.to_pylist()], pa.string())


def main(arguments: list[str]) -> None:
    """Runs one statement from the JSON lines to the Parquet files."""
    work = parse_work(arguments, description=__doc__)
    statement = _STATEMENT.format(
        title=_cleaned("title"),
        content=_cleaned("content"),
        columns=dict.fromkeys(COLUMNS, "VARCHAR"),
        output=str(work.output).replace("'", "''"),
        rows=SHARD_ROWS,
    )
    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {work.cores}")
        connection.execute("SET preserve_insertion_order = false")
        connection.create_function("unescape", unescape, ["VARCHAR"], "VARCHAR", type="arrow")
        connection.execute(statement, {"input": str(work.input)})


def _cleaned(name: str) -> str:
    unescaped = f"CASE WHEN contains({name}, '&') THEN unescape({name}) ELSE {name} END"
    return f"trim(regexp_replace(regexp_replace({unescaped}, '{NOT_KEPT}', ' ', 'g'), '{BLANKS}', ' ', 'g'))"


if __name__ == "__main__":
    main(sys.argv[1:])
