"""Reading records from a data set's shards."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from contract import storage
from contract.columns import CONTENT, SHARD_SCHEMA, TITLE
from contract.errors import UserError
from contract.manifest import Manifest
from trainer.examples import Record
from trainer.plan import Stretch, Unit, row_order


@dataclass
class ShardReader:
    """Reads stretches of one split. Keeps the shard and the row groups that it read last."""

    root: str
    manifest: Manifest
    split: str
    seed: int
    _file: tuple[int, pq.ParquetFile] | None = field(default=None, init=False)
    _unit: tuple[Unit, pa.Table] | None = field(default=None, init=False)

    def read(self, stretches: Sequence[Stretch], *, epoch: int) -> list[Record]:
        """The records of these stretches, in the epoch's order."""
        records = []
        for stretch in stretches:
            order = row_order(stretch.unit, seed=self.seed, epoch=epoch)[stretch.start : stretch.stop]
            table = self._read_unit(stretch.unit).take(order)
            base = sum(shard.rows for shard in self.manifest.splits[self.split][: stretch.unit.shard])
            rows = (base + stretch.unit.first + position for position in order)
            columns = zip(rows, table[TITLE].to_pylist(), table[CONTENT].to_pylist(), strict=True)
            records += [Record(*values) for values in columns]
        return records

    def _read_unit(self, unit: Unit) -> pa.Table:
        if self._unit is None or self._unit[0] != unit:
            self._unit = unit, self._load_unit(unit)
        return self._unit[1]

    def _load_unit(self, unit: Unit) -> pa.Table:
        """Rows `first` to `first + rows` of a shard, from the row groups that hold them."""
        file = self._open(unit.shard)
        path = self.manifest.splits[self.split][unit.shard].path
        first, groups, skipped = 0, [], 0
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if first < unit.first + unit.rows and first + rows > unit.first:
                groups.append(group)
            elif not groups:
                skipped += rows
            first += rows
        try:
            table = file.read_row_groups(groups, columns=[TITLE, CONTENT])
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, str(error)) from error
        return table.slice(unit.first - skipped, unit.rows)

    def _open(self, index: int) -> pq.ParquetFile:
        if self._file is None or self._file[0] != index:
            self._file = index, self._open_shard(index)
        return self._file[1]

    def _open_shard(self, index: int) -> pq.ParquetFile:
        shard = self.manifest.splits[self.split][index]
        filesystem, path = storage.open_filesystem(storage.join(self.root, shard.path))
        try:
            file = pq.ParquetFile(filesystem.open(path, "rb"), page_checksum_verification=True)
        except FileNotFoundError as error:
            raise _damaged(shard.path, "the file is missing") from error
        except (OSError, pa.ArrowException) as error:
            raise _damaged(shard.path, str(error)) from error
        if file.metadata.num_rows != shard.rows:
            raise _damaged(shard.path, f"{file.metadata.num_rows} rows, the manifest says {shard.rows}")
        if file.schema_arrow.names != SHARD_SCHEMA.names:
            raise _damaged(shard.path, f"columns {file.schema_arrow.names}, expected {SHARD_SCHEMA.names}")
        return file


def _damaged(path: str, reason: str) -> UserError:
    return UserError(f"shard {path} cannot be read: {reason}; fetch it again, or prepare the data set again")
