"""Row groups of published shards, read one at a time and checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from contract import storage
from contract.columns import CONTENT, SHARD_SCHEMA, TITLE
from contract.errors import UserError
from trainer.data import DataSet
from trainer.plan import Unit


class DamagedShardError(UserError):
    """A shard whose bytes are not those that its manifest tells of."""


@dataclass
class RowGroups:
    """The row groups of these data sets."""

    data: Sequence[DataSet]
    _files: dict[tuple[int, int], pq.ParquetFile] = field(default_factory=dict, init=False)

    def read(self, unit: Unit) -> pa.Table:
        """Titles and contents of a unit's rows, in stored order. DamagedShardError where they cannot be trusted."""
        file = self._open(unit)
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
            raise _damaged(self._path(unit), str(error)) from error
        return table.slice(unit.first - skipped, unit.rows)

    def _path(self, unit: Unit) -> str:
        data_set = self.data[unit.source]
        return data_set.manifest.splits[data_set.split][unit.shard].path

    def _open(self, unit: Unit) -> pq.ParquetFile:
        key = unit.source, unit.shard
        if key not in self._files:
            self._files[key] = self._open_shard(unit)
        return self._files[key]

    def _open_shard(self, unit: Unit) -> pq.ParquetFile:
        data_set = self.data[unit.source]
        shard = data_set.manifest.splits[data_set.split][unit.shard]
        filesystem, path = storage.open_filesystem(storage.join(data_set.root, shard.path))
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


def _damaged(path: str, reason: str) -> DamagedShardError:
    return DamagedShardError(f"shard {path} cannot be read: {reason}; fetch it again, or prepare the data set again")
