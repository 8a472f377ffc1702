"""A data set made by hand that keeps every law, so that a test can break exactly one."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contract.columns import REJECTED, REJECTED_SCHEMA, ROW_GROUP_ROWS, SHARD_SCHEMA, SPLITS
from contract.keys import offset_keys, record_key, split_of
from contract.manifest import Manifest, RowCounts, Source, publish, with_digest
from contract.reasons import REASONS
from contract.shard import FilePart, Shard, shard_of
from contract.storage import join, write_bytes
from contract.verify.data_set import Report

Row = dict[str, Any]

CONFIG = {"text_profile": "seed", "val_share": 0.02, "test_share": 0.02, "seed": 7, "shard_rows": 2_500}
SEAM = 2_500  # the first row of the second shard
SOURCES = ("/in/a.json", "/in/b.json")


@dataclass
class DataSet:
    """What is written; a test changes it first."""

    rows: dict[str, list[Row]]  # by split, in order; and the rejected lines
    config: dict[str, Any] = field(default_factory=lambda: dict(CONFIG))
    schemas: dict[str, pa.Schema] = field(
        default_factory=lambda: dict.fromkeys(SPLITS, SHARD_SCHEMA) | {REJECTED: REJECTED_SCHEMA}
    )
    options: dict[str, Any] = field(
        default_factory=lambda: {
            "compression": "zstd",
            "write_page_checksum": True,
            "row_group_size": ROW_GROUP_ROWS,
            "store_schema": False,
        }
    )
    reasons: Counter[str] | None = None  # what the manifest says, if not what there is

    def write(self, root: str) -> Manifest:
        """Publishes it."""
        written = {section: tuple(self._shards(root, section)) for section in (*SPLITS, REJECTED)}
        kept = sum(len(self.rows[split]) for split in SPLITS)
        reasons = self.reasons or Counter(row["reason"] for row in self.rows[REJECTED])
        manifest = Manifest(
            source=tuple(Source(path, 1_000, "2026-01-01") for path in SOURCES),
            text_profile="seed",
            config=self.config,
            rows=RowCounts(kept + len(self.rows[REJECTED]), kept, {reason: reasons[reason] for reason in REASONS}),
            splits={split: written[split] for split in SPLITS},
            rejected=written[REJECTED],
            created_at="2026-01-01T00:00:00+00:00",
        )
        publish(root, manifest, replace=True)
        return manifest

    def _shards(self, root: str, section: str) -> Iterable[Shard]:
        rows, schema = self.rows[section], self.schemas[section]
        for number, first in enumerate(range(0, len(rows), CONFIG["shard_rows"])):
            some = rows[first : first + CONFIG["shard_rows"]]
            columns = [_array([row.get(column.name) for row in some], column.type) for column in schema]
            file = io.BytesIO()
            pq.write_table(pa.table(columns, schema=schema), file, **self.options)
            shard = shard_of(file.getvalue(), section=section, number=number, rows=len(some))
            write_bytes(join(root, shard.path), file.getvalue())
            yield shard


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Also of texts given as bytes, which need not be UTF-8."""
    if kind == pa.string():
        as_bytes = [value.encode() if isinstance(value, str) else value for value in values]
        return pa.array(as_bytes, pa.binary()).view(pa.string())
    return pa.array(values, kind)


def shard_without_file(path: str, *, rows: int, bytes: int, sha256: str) -> Shard:
    """What a manifest may say of a file that no test opens."""
    return Shard(path, rows, bytes, sha256, FilePart(0, bytes, "0" * 32), ())


def record(title: str, content: str, uid: str = "u") -> Row:
    return {"uid": uid, "title": title, "content": content, "key": record_key(title, content)}


def rejected(reason: str, source: int, offset: int, **evidence: object) -> Row:
    """A rejected line. `key` is not written: it says where the line lies."""
    (key,) = offset_keys(np.array([offset]), source=source)
    return {"reason": reason, "source": SOURCES[source], "offset": offset, "key": key.tobytes()} | evidence


def sound_data_set() -> DataSet:
    """7,000 records, most of them in three shards of the train split, and 3,000 rejected lines in two files."""
    rows: dict[str, list[Row]] = {section: [] for section in (*SPLITS, REJECTED)}
    shares = {name: CONFIG[name] for name in ("val_share", "test_share", "seed")}
    for number in range(7_000):
        title = f"Mug {number // 2}"
        rows[split_of(title, **shares)].append(record(title, f"A fine mug, {number} of many. Não é chá.", f"u{number}"))
    evidence: list[tuple[str, Callable[[int], Row]]] = [
        ("too_long", lambda _: {"raw": b"x" * 200}),
        ("not_json", lambda _: {"raw": b""}),
        ("not_a_record", lambda _: {"raw": b"[1]"}),
        ("no_title", lambda number: {"uid": f"n{number}", "title": "<br>" if number % 2 else None}),
        ("no_content", lambda number: {"title": f"<i>Mug</i> {number}"}),
        ("duplicate", lambda number: {"uid": f"d{number}", "title": f"Mug {number}"}),
    ]
    for number in range(3_000):
        reason, tell = evidence[number % len(evidence)]
        line = rejected(reason, number % 2, number * 10, **tell(number))
        if reason == "duplicate":
            line["key"] = record_key(f"Mug {number}", "a content that is not told")
        rows[REJECTED].append(line)
    for some in rows.values():
        some.sort(key=lambda row: row["key"])
    return DataSet(rows)


def edit_manifest(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Changes what manifest.json says, and the digest in it."""
    path = root / "manifest.json"
    document = json.loads(path.read_text())
    del document["sha256"]
    edit(document)
    path.write_bytes(with_digest(document))


SOUND = sound_data_set()


def broken(report: Report) -> set[str]:
    """The laws that are."""
    return set(report.findings.counts)
