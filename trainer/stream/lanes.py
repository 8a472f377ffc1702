"""Records from the shards of data sets: the records of a lane in the order of training, or simply the first ones."""

import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import pyarrow as pa

from contract.columns import CONTENT, KEY, TITLE
from trainer.examples.encoder import Record
from trainer.plan.data_sets import DataSet, first_rows
from trainer.plan.order import Address, Lane, Stretch, Unit, plan_epoch, row_order, units_of
from trainer.shards.row_groups import DamagedShardError, RowGroups


@dataclass
class LaneReader:
    """Reads records of one lane. Of each data set it keeps the row group that it read last."""

    groups: RowGroups
    lane: Lane
    seed: int
    skip_damaged: bool = False
    _kept: dict[int, "_KeptUnit"] = field(default_factory=dict, init=False)

    def read(self, addresses: Sequence[Address]) -> dict[Address, Record]:
        """The records at these addresses, without damaged ones. The addresses must be in the order of the lane."""
        records: dict[Address, Record] = {}
        for block, group in itertools.groupby(addresses, key=lambda address: address.block):
            of_block = list(self._block(block))
            found = ((address, of_block[address.index]) for address in group)
            records |= {address: record for address, record in found if record is not None}
        return records

    def _block(self, number: int) -> Iterator[Record | None]:
        for stretch in self.lane.block(number):
            unit = self._unit(stretch)
            if unit.table is None:
                yield from itertools.repeat(None, stretch.num)
            else:
                yield from records_of(unit.table.slice(stretch.start, stretch.num), unit.rows[stretch.start :])

    def _unit(self, stretch: Stretch) -> "_KeptUnit":
        kept = self._kept.get(stretch.unit.source)
        if kept is None or (kept.unit, kept.cycle) != (stretch.unit, stretch.cycle):
            kept = self._kept[stretch.unit.source] = self._load(stretch)
        if 2 * stretch.stop > stretch.unit.rows and kept.following:
            self.groups.announce(kept.following)  # not sooner, so that few lanes hold two row groups
        return kept

    def _load(self, stretch: Stretch) -> "_KeptUnit":
        unit, cycle = stretch.unit, stretch.cycle
        order = row_order(unit, seed=self.seed, cycle=cycle)
        base = first_row(self.groups.data, unit)
        try:
            table = self.groups.read(unit).take(_indices(order))
        except DamagedShardError:
            if not self.skip_damaged:
                raise
            table = None
        return _KeptUnit(unit, cycle, table, [base + position for position in order], self.lane.unit_after(stretch))


def announce_block(groups: RowGroups, lane: Lane, number: int) -> None:
    """Begins to read the row groups that hold a block of a lane, if there is such a block."""
    for stretch in lane.block(number) if number < lane.num_blocks else ():
        groups.announce(stretch.unit)


@dataclass(frozen=True)
class _KeptUnit:
    """A row group, its rows in the order of a cycle; `table` is None where the row group is damaged."""

    unit: Unit
    cycle: int
    table: pa.Table | None
    rows: list[int]  # numbers of its rows, over all data sets
    following: Unit | None  # the unit that the lane reads next of this data set


def trained_records(data: Sequence[DataSet], limit: int, *, lanes: int, seed: int) -> list[Record]:
    """The first records that a run trains on, at most `limit`, all of its first epoch; damaged records are left out."""
    plans = plan_epoch([data_set.rows for data_set in data], lanes=lanes, seed=seed, epoch=0)
    records: list[Record] = []
    with closing(RowGroups(data)) as groups:
        readers = [LaneReader(groups, lane, seed=seed, skip_damaged=True) for lane in plans]
        for block in range(max(lane.num_blocks for lane in plans)):
            for reader, lane in zip(readers, plans, strict=True):
                if len(records) >= limit:
                    return records[:limit]
                records += reader.read(lane.addresses(block) if block < lane.num_blocks else []).values()
    return records[:limit]


def first_records(data: Sequence[DataSet], limit: int, *, skip_damaged: bool = False) -> list[Record]:
    """The first stored records, equally many of each data set: a random sample, since shards are in random order.

    With `skip_damaged`, fewer where some cannot be read; else DamagedShardError.
    """
    records: list[Record] = []
    with closing(RowGroups(data)) as groups:
        for source, data_set in enumerate(data):
            share = (limit - len(records)) // (len(data) - source)
            for unit in units_of(replace(data_set.rows, limit=share), source):
                try:
                    table = groups.read(unit)
                except DamagedShardError:
                    if not skip_damaged:
                        raise
                    continue
                records += records_of(table, itertools.count(first_row(data, unit)))
    return records


def first_row(data: Sequence[DataSet], unit: Unit) -> int:
    """The number of a unit's first row, counted over the splits of all data sets, in their order."""
    shards = data[unit.source].rows.of_shards
    return first_rows(data)[unit.source] + sum(shards[: unit.shard]) + unit.first


def _indices(positions: list[int]) -> pa.Array:
    # For a list, pyarrow loads pandas to see whether the list is one of its objects: half a second, 40 MB.
    return pa.Array.from_buffers(pa.int64(), len(positions), [None, pa.py_buffer(array("q", positions))])


def records_of(table: pa.Table, rows: Iterable[int]) -> Iterator[Record]:
    """The records of a table, with their numbers."""
    columns = (table[name].to_pylist() for name in (TITLE, CONTENT, KEY))
    return itertools.starmap(Record, zip(rows, *columns, strict=False))
