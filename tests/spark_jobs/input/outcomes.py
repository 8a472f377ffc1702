"""What a preparation makes of a catalogue, without Spark and without duplicates being dropped."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from contract.reasons import KEPT, REASON_NAMES
from spark_jobs.counts.records import merge_read
from spark_jobs.input.fields import FieldNames, ReadOptions
from spark_jobs.input.parts import plan_parts
from spark_jobs.input.readers import documents_among, read_part
from spark_jobs.input.source import list_sources
from spark_jobs.rows import CleaningRules, rows_of_fields

RULES = CleaningRules(text_profile="natural", val_share=0.1, test_share=0.1, seed=0)
MAX_LINE_BYTES = 4 * 2**20


class Outcome(NamedTuple):
    """What its owner would look at."""

    lines: int
    records: list[tuple[str, str, str]]  # uid, title and content, in order; "hash" for a uid that is the hash
    rejected: dict[str, int]
    notes: dict[str, int]


def outcome_of(
    path: Path | str,
    *,
    title: str = "title",
    content: str = "content",
    uid: str = "uid",
    encoding: str | None = None,
    parallelism: int = 2,
) -> Outcome:
    """Of a file, a folder or a glob, with these names of fields."""
    names, sources = FieldNames(uid=uid, title=title, content=content), list_sources(str(path))
    options = ReadOptions(names, max_line_bytes=MAX_LINE_BYTES, encoding=encoding)
    documents = documents_among(sources, options=options)
    rows, statistics = [], []
    for part in plan_parts(sources, parallelism=parallelism, options=options, documents=documents):
        for fields in read_part(sources[part.source], part, options=options):
            batch, read = rows_of_fields(fields, source=part.source, rules=RULES)
            batch.validate(full=True)
            rows += batch.to_pylist()
            statistics.append(read)
    rows.sort(key=lambda row: (row["source"], row["offset"]))
    assert len({(row["source"], row["offset"]) for row in rows}) == len(rows)
    kept = [row for row in rows if row["reason"] == KEPT]
    return Outcome(
        lines=merge_read(statistics).num_lines,
        records=[
            ("hash" if row["uid"] == row["key"].hex() else row["uid"], row["title"], row["content"]) for row in kept
        ],
        rejected=dict(Counter(REASON_NAMES[row["reason"]] for row in rows if row["reason"] != KEPT)),
        notes=merge_read(statistics).notes,
    )
