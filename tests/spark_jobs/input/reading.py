"""Reads a file as the tasks of a preparation do, and says what came of its rows."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from contract.reasons import KEPT, REASON_NAMES
from spark_jobs.input.fields import FieldNames, ReadOptions
from spark_jobs.input.parts import plan_parts
from spark_jobs.input.readers import read_part
from spark_jobs.input.source import list_sources

NAMES = FieldNames("uid", "title", "content")

Texts = tuple[str | None, str, str]  # id, title, description


class Reading(NamedTuple):
    """What was read of a file."""

    kept: list[Texts]  # in the order of the file
    rejected: dict[str, int]  # by reason
    notes: dict[str, int]
    places: list[tuple[int, str, bytes]]  # of rejected rows: offset, reason, start of the raw row

    @property
    def num_rows(self) -> int:
        return len(self.kept) + sum(self.rejected.values())


def read_file(path: Path, *, parallelism: int = 1, names: FieldNames = NAMES, **options: object) -> Reading:
    """All that tasks of so many cores read. AssertionError where two of them read the same row."""
    (source,) = list_sources(str(path))
    asked = ReadOptions(names, **{"max_line_bytes": 2**20, **options})  # type: ignore[arg-type]
    rows: dict[int, tuple[str, Texts, bytes]] = {}
    notes: Counter[str] = Counter()
    for part in plan_parts([source], parallelism=parallelism, options=asked):
        for fields in read_part(source, part, options=asked):
            notes.update(fields.notes)
            columns = (fields.uids, fields.titles, fields.contents, fields.raws)
            for offset, reason, uid, title, content, raw in zip(
                fields.offsets.tolist(),
                fields.reasons.tolist(),
                *(column.to_pylist() for column in columns),
                strict=True,
            ):
                assert offset not in rows, f"row {offset} was read twice"
                name = "kept" if reason == KEPT else REASON_NAMES[reason]
                rows[offset] = (name, (uid, title, content), raw)
    ordered = [(offset, *rows[offset]) for offset in sorted(rows)]
    return Reading(
        kept=[texts for _, name, texts, _ in ordered if name == "kept"],
        rejected=dict(Counter(name for _, name, _, _ in ordered if name != "kept")),
        notes=dict(notes),
        places=[(offset, name, raw) for offset, name, _, raw in ordered if name != "kept"],
    )
