"""What runs have learnt, as their ledgers and metrics tell it, and shards that they cannot learn."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from contract.manifest import Manifest
from trainer.runs import names
from trainer.runs.ledger import read_ledger
from trainer.runs.metrics import read_metrics


def ledger_text(run: Path) -> str:
    return "".join(path.read_text() for path in sorted((run / names.LEDGER).iterdir()))


def rows_by_epoch(run: Path) -> dict[int, Counter[int]]:
    """How often each record was learnt."""
    rows: dict[int, Counter[int]] = {}
    for step in read_ledger(run):
        rows.setdefault(step.epoch, Counter()).update(row for pack in step.packs for row in pack)
    return rows


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(run)]


def damage_shard(root: Path, manifest: Manifest, damage: str) -> str:
    """Damages the second shard of the train split; its name."""
    shard = manifest.splits["train"][1].path
    data = bytearray((root / shard).read_bytes())
    if damage == "missing":
        (root / shard).unlink()
    elif damage == "truncated":
        (root / shard).write_bytes(data[: len(data) // 2])
    else:
        contents = pq.ParquetFile(root / shard).metadata.row_group(0).column(2)
        first = contents.dictionary_page_offset or contents.data_page_offset
        data[first + contents.total_compressed_size - 20] ^= 1
        (root / shard).write_bytes(data)
    return shard
