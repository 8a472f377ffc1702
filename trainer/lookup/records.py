"""Records of a data set by their number, through all its splits, and the titles of all of them."""

import bisect
import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import pyarrow as pa

from contract.columns import CONTENT, ROW_GROUP_ROWS, SPLITS, TITLE, UID
from contract.manifest import Manifest
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Unit, units_of
from trainer.shards.row_groups import RowGroups

_AHEAD: Final = 16  # row groups that are read while one is indexed
_MOST_TABLES: Final = 16  # row groups that are kept in memory, some 2 MB each


class Records:
    """The records of a data set; several threads may read them. Each read checks the bytes, and is one row group."""

    def __init__(self, root: str, manifest: Manifest) -> None:
        data = [DataSet(root, manifest, split) for split in SPLITS if manifest.num_rows(split)]
        self.num = sum(data_set.rows.num for data_set in data)
        self._shards = [
            (source, number) for source, each in enumerate(data) for number in range(len(each.rows.of_shards))
        ]
        rows = [num for each in data for num in each.rows.of_shards]
        self._firsts = list(itertools.accumulate(rows, initial=0))
        self._paths = [shard.path for each in data for shard in manifest.splits[each.split]]
        self._groups = RowGroups(data, columns=(UID, TITLE, CONTENT))
        self._table = lru_cache(_MOST_TABLES)(self._groups.read)

    def place(self, number: int) -> tuple[str, int]:
        """The path of the shard of a record, and its row there."""
        shard = bisect.bisect_right(self._firsts, number) - 1
        return self._paths[shard], number - self._firsts[shard]

    def read(self, number: int) -> tuple[str, str, str]:
        """The uid, title and content of a record.

        DamagedShardError where its shard is damaged; UserError where the storage cannot be reached.
        """
        shard = bisect.bisect_right(self._firsts, number) - 1
        group, row = divmod(number - self._firsts[shard], ROW_GROUP_ROWS)
        first, stop = group * ROW_GROUP_ROWS, self._firsts[shard + 1] - self._firsts[shard]
        source, place = self._shards[shard]
        table = self._table(Unit(source, place, first, min(ROW_GROUP_ROWS, stop - first)))
        uid, title, content = (table[name][row].as_py() for name in (UID, TITLE, CONTENT))
        return uid, title, content

    def close(self) -> None:
        """Ends reads that wait for a store."""
        self._groups.close()


def all_titles(root: str, manifest: Manifest) -> Iterator[pa.StringArray]:
    """The titles of all records in the order of their numbers, a row group at a time. Reads every shard whole.

    DamagedShardError where a shard is damaged.
    """
    data = [DataSet(root, manifest, split) for split in SPLITS if manifest.num_rows(split)]
    groups = RowGroups(data, columns=(TITLE,))
    try:
        units = [unit for source, each in enumerate(data) for unit in units_of(each.rows, source)]
        for number, unit in enumerate(units):
            for following in units[number : number + _AHEAD]:
                groups.announce(following)
            yield groups.read(unit)[TITLE].combine_chunks()
    finally:
        groups.close()
