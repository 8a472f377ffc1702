"""The data sets of the parts: a part holds the records whose titles fall into it, in the order of the whole.

They are ordinary data sets, so the training of a part is an ordinary training: its stream, its ledger and its resume
need no rule of their own, and an object store is read once for all parts, not once for each epoch of each part.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from command.progress import ProgressBar
from contract import storage
from contract.columns import ROW_GROUP_ROWS, SHARD_SCHEMA, SPLITS, TITLE
from contract.errors import UserError
from contract.keys import parts_of
from contract.manifest import Manifest, RowCounts, Source, publish
from contract.reasons import REASONS
from contract.shard import Shard, open_writer, shard_of
from trainer.parts.manifest import part_data
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Unit, units_of
from trainer.shards.cache import Cache
from trainer.shards.row_groups import DamagedShardError, RowGroups

_AHEAD: Final = 8  # row groups that are read while one is divided


def write_parts(
    data: Sequence[DataSet], folder: Path, *, parts: int, skip_damaged: bool = False, cache: Cache | None = None
) -> list[list[Manifest]]:
    """Divides all splits of the data sets among the parts; returns the manifests of each part, in the order of `data`.

    Reads each data set once. Holds some 2,000 records a part in memory, and of each part the compressed bytes of the
    shards that it is writing: in all at most the size of the catalogue. UserError where a part would hold no record to
    train on. With `skip_damaged`, records that cannot be read are in no part, which is printed; else DamagedShardError.
    """
    progress, num_done, num_skipped = ProgressBar(f"dividing into {parts} parts:"), 0, 0
    num_rows = sum(shard.rows for each in data for shards in each.manifest.splits.values() for shard in shards)
    manifests: list[list[Manifest]] = [[] for _ in range(parts)]
    for source, data_set in enumerate(data):
        splits: list[dict[str, tuple[Shard, ...]]] = [{} for _ in range(parts)]
        for split in SPLITS:
            rows = replace(data_set, split=split, limit=data_set.limit if split == data_set.split else None)
            writers = [_Writer(str(part_data(folder, part, source)), rows) for part in range(parts)]
            for unit, table in _tables(rows, cache=cache, skip_damaged=skip_damaged):
                num_done, num_skipped = num_done + unit.rows, num_skipped + (0 if table else unit.rows)
                for part, some in _divide(table, parts) if table else ():
                    writers[part].add(some)
                progress.show(num_done / num_rows, f"{num_done:,} records")
            for part, writer in enumerate(writers):
                splits[part][split] = writer.close()
        for part in range(parts):
            manifests[part].append(_publish(data_set, splits[part], str(part_data(folder, part, source))))
    _require_records(data, manifests)
    progress.done(f"{num_done - num_skipped:,} records")
    if num_skipped:
        print(f"{num_skipped:,} records could not be read and are in no part", flush=True)
    return manifests


def _tables(rows: DataSet, *, cache: Cache | None, skip_damaged: bool) -> Iterator[tuple[Unit, pa.Table | None]]:
    """The row groups of a split in stored order, all columns; None for one that is damaged."""
    units = units_of(rows.rows)
    groups = RowGroups([rows], cache, columns=SHARD_SCHEMA.names)
    try:
        for number, unit in enumerate(units):
            for following in units[number : number + _AHEAD]:
                groups.announce(following)
            try:
                yield unit, groups.read(unit)
            except DamagedShardError:
                if not skip_damaged:
                    raise
                yield unit, None
    finally:
        groups.close()


def _divide(table: pa.Table, parts: int) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each part that has any, in order."""
    part_of_row = parts_of(table[TITLE].combine_chunks(), parts=parts)
    order = np.argsort(part_of_row, kind="stable")
    edges = np.searchsorted(part_of_row[order], np.arange(parts + 1))
    for part in range(parts):
        if edges[part] < edges[part + 1]:
            yield part, table.take(pa.array(order[edges[part] : edges[part + 1]]))


class _Writer:
    """Shards of one split of one part, as long as those of the whole."""

    def __init__(self, root: str, rows: DataSet) -> None:
        self._root, self._split = root, rows.split
        self._shard_rows = max((shard.rows for shard in rows.manifest.splits[rows.split]), default=1)
        self._held = SHARD_SCHEMA.empty_table()
        self._shards: list[Shard] = []
        self._open_shard()

    def add(self, rows: pa.Table) -> None:
        """Adds rows, which come in the order of the split."""
        self._held = pa.concat_tables([self._held, rows.select(SHARD_SCHEMA.names).cast(SHARD_SCHEMA)])
        while self._held.num_rows >= (num := min(ROW_GROUP_ROWS, self._shard_rows - self._num_written)):
            self._write(self._held.slice(0, num))
            self._held = self._held.slice(num)

    def close(self) -> tuple[Shard, ...]:
        """All shards, the last one with the rows that remain."""
        if self._held.num_rows:
            self._write(self._held)
        if self._num_written:
            self._close_shard()
        return tuple(self._shards)

    def _open_shard(self) -> None:
        self._sink, self._num_written = io.BytesIO(), 0
        self._writer: pq.ParquetWriter | None = None  # opened by the first rows: most splits of small data have none

    def _write(self, rows: pa.Table) -> None:
        self._writer = self._writer or open_writer(self._sink, SHARD_SCHEMA)
        self._writer.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
        self._num_written += rows.num_rows
        if self._num_written == self._shard_rows:
            self._close_shard()

    def _close_shard(self) -> None:
        assert self._writer is not None, "a shard that is closed has rows"
        self._writer.close()
        data, number = self._sink.getvalue(), len(self._shards)
        shard = shard_of(data, section=self._split, number=number, rows=self._num_written)
        storage.write_bytes(storage.join(self._root, shard.path), data)
        self._shards.append(shard)
        self._open_shard()


def _publish(data_set: DataSet, splits: dict[str, tuple[Shard, ...]], root: str) -> Manifest:
    """The manifest of one part; the source that it names is the data set that was divided."""
    whole, num = data_set.manifest, sum(shard.rows for shards in splits.values() for shard in shards)
    num_bytes = sum(shard.bytes for shards in whole.splits.values() for shard in shards)
    manifest = Manifest(
        source=(Source(data_set.root, num_bytes, whole.created_at),),
        text_profile=whole.text_profile,
        config=whole.config,
        rows=RowCounts(num, num, dict.fromkeys(REASONS, 0)),
        splits=splits,
        rejected=(),
        created_at=whole.created_at,
    )
    publish(root, manifest, replace=True)
    return manifest


def _require_records(data: Sequence[DataSet], manifests: Sequence[Sequence[Manifest]]) -> None:
    for source, data_set in enumerate(data):
        empty = [part for part, of_part in enumerate(manifests) if not of_part[source].num_rows(data_set.split)]
        if empty:
            raise UserError(
                f"parts = {len(manifests)}: {len(empty)} of them would have none of the {data_set.rows.num:,} records"
                f" of {data_set.root}; choose a smaller number"
            )
