"""Which records are trained in which order: pure arithmetic over (data sets, seed, epoch).

An epoch's records lie in *lanes*. Pack p of the epoch belongs to lane p mod L, a step takes G consecutive packs, and
rank r of W trains on the packs congruent to r modulo W. So a step holds the same packs on any number of GPUs. A rank
reads only the lanes that hold its packs: L/W of them where W divides L. That is why L is 48 for all but small data.

Rows of all data sets -> Unit (a row group) -> Stretch (the part of it that a lane reads) -> block (some 64 records)
"""

import bisect
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final, Protocol

from contract.columns import ROW_GROUP_ROWS

NUM_LANES: Final = 48  # divides by 1, 2, 3, 4, 6, 8, 12, 16, 24, 48
BLOCK_ROWS: Final = 64  # records that are read, tokenised and mixed together
_MIN_LANE_ROWS: Final = 64


class Share(Protocol):
    """The packs of an epoch that one process makes."""

    def owns(self, pack: int) -> bool:
        """Whether pack number `pack` of the epoch is one of them."""

    def lanes(self, num_lanes: int) -> set[int]:
        """The lanes, of `num_lanes`, that hold these packs."""


@dataclass(frozen=True)
class Rank:
    """One process of a run."""

    index: int
    world: int

    def owns(self, pack: int) -> bool:
        """Whether this rank trains on pack number `pack` of the epoch."""
        return pack % self.world == self.index

    def lanes(self, num_lanes: int) -> set[int]:
        """The lanes that hold packs of this rank."""
        return {pack % num_lanes for pack in range(self.index, math.lcm(num_lanes, self.world), self.world)}

    def first_pack(self, start: int) -> int:
        """The number of this rank's first pack among those from `start` on."""
        return start + (self.index - start) % self.world


@dataclass(frozen=True)
class RowRange:
    """The rows of one data set that may be trained: all, or the first `limit` of them."""

    of_shards: tuple[int, ...]  # rows of each shard
    limit: int | None = None
    weight: Fraction = Fraction(1)

    @property
    def num(self) -> int:
        """Rows that may be trained."""
        num = sum(self.of_shards)
        return num if self.limit is None else min(num, self.limit)


@dataclass(frozen=True)
class Unit:
    """Rows of one shard that are read together: a row group. `first` counts from the shard's start."""

    source: int  # index of the data set
    shard: int
    first: int
    rows: int


@dataclass(frozen=True)
class Stretch:
    """Consecutive rows of a unit, in the order that they have in the data set's pass number `cycle`."""

    unit: Unit
    cycle: int
    start: int
    stop: int

    @property
    def num(self) -> int:
        """Number of rows."""
        return self.stop - self.start


@dataclass(frozen=True)
class Address:
    """Names a record of a lane."""

    block: int
    index: int  # in the block


@dataclass(frozen=True)
class Lane:
    """The stretches that a lane reads in an epoch; one part for each data set."""

    parts: tuple[tuple[Stretch, ...], ...]

    @cached_property
    def _starts(self) -> list[list[int]]:
        """For each part: the offset of each of its stretches, and the length of the part."""
        return [_starts_of(part) for part in self.parts]

    @cached_property
    def num_blocks(self) -> int:
        """Number of blocks. A block has at most BLOCK_ROWS records, plus one for each data set after the first."""
        return -(-sum(starts[-1] for starts in self._starts) // BLOCK_ROWS)

    def block(self, number: int) -> list[Stretch]:
        """The stretches of a block: an equal share of every part, so that data sets mix evenly."""
        stretches = []
        for part, starts in zip(self.parts, self._starts, strict=True):
            first, stop = (edge * starts[-1] // self.num_blocks for edge in (number, number + 1))
            stretches += list(_cut(part, starts, first, stop))
        return stretches

    def num_rows(self, block: int) -> int:
        """Number of records in a block, damaged ones included."""
        return sum(stretch.num for stretch in self.block(block))

    def addresses(self, block: int) -> list[Address]:
        """The addresses of all records of a block, in order."""
        return [Address(block, index) for index in range(self.num_rows(block))]

    def unit_after(self, stretch: Stretch) -> Unit | None:
        """The unit that this lane reads of the same data set after the unit of `stretch`; None after the last."""
        part = self.parts[stretch.unit.source]
        following = [(each.unit, each.cycle) for each in part].index((stretch.unit, stretch.cycle)) + 1
        return part[following].unit if following < len(part) else None


def _starts_of(part: Sequence[Stretch], *, first: int = 0) -> list[int]:
    """The offset of each stretch, the first one at `first`, and the end of the last one."""
    return list(itertools.accumulate((stretch.num for stretch in part), initial=first))


def _cut(part: Sequence[Stretch], starts: Sequence[int], first: int, stop: int) -> Iterator[Stretch]:
    """Rows `first` to `stop` of a part."""
    for index in range(bisect.bisect_right(starts, first) - 1, len(part)):
        start, stretch = starts[index], part[index]
        begin, end = max(first - start, 0), min(stop - start, stretch.num)
        if begin >= end:
            return
        yield Stretch(stretch.unit, stretch.cycle, stretch.start + begin, stretch.start + end)


def num_lanes(num_rows: int, *, max_length: int) -> int:
    """Lanes for this many records: fewer for small data, since each lane's last pack is only partly filled."""
    return max(1, min(NUM_LANES, num_rows // max(_MIN_LANE_ROWS, max_length // 2)))


def rows_of_epoch(sources: Sequence[RowRange]) -> list[int]:
    """How many records an epoch takes from each data set.

    The numbers are in proportion to the weights, and as large as they can be while no record comes twice in an epoch.
    The next epoch goes on where this one left off: no record of a data set comes again before all others have come.
    """
    most = min(Fraction(source.num) / source.weight for source in sources)
    return [math.floor(most * source.weight) for source in sources]


def plan_epoch(sources: Sequence[RowRange], *, lanes: int, seed: int, epoch: int) -> list[Lane]:
    """The lanes of an epoch: each data set's rows of this epoch, cut into equal parts."""
    cuts_of_sources = []
    for index, num in enumerate(rows_of_epoch(sources)):
        part = _stretches(sources[index], index, first=epoch * num, stop=(epoch + 1) * num, seed=seed)
        starts = _starts_of(part)
        edges = [lane * num // lanes for lane in range(lanes + 1)]
        cuts_of_sources.append([tuple(_cut(part, starts, *edge)) for edge in itertools.pairwise(edges)])
    return [Lane(parts) for parts in zip(*cuts_of_sources, strict=True)]


def _stretches(rows: RowRange, source: int, *, first: int, stop: int, seed: int) -> list[Stretch]:
    """Rows `first` to `stop` of the endless row of passes through a data set, each pass in an order of its own."""
    stretches = []
    for cycle in range(first // max(1, rows.num), -(-stop // max(1, rows.num))):
        whole = [Stretch(unit, cycle, 0, unit.rows) for unit in _order(units_of(rows, source), seed=seed, cycle=cycle)]
        starts = _starts_of(whole, first=cycle * rows.num)
        stretches += list(_cut(whole, starts, max(first, starts[0]), min(stop, starts[-1])))
    return stretches


def _order(units: Sequence[Unit], *, seed: int, cycle: int) -> list[Unit]:
    """Units in random order, shard by shard: few shards are open at a time, and the shards are shuffled already."""
    draw = random.Random(f"units {seed} {cycle} {units[0].source if units else 0}")
    shards = [list(group) for _, group in itertools.groupby(units, key=lambda unit: unit.shard)]
    draw.shuffle(shards)
    for shard in shards:
        draw.shuffle(shard)
    return [unit for shard in shards for unit in shard]


def units_of(rows: RowRange, source: int = 0) -> list[Unit]:
    """The row groups in stored order, up to the limit."""
    units, left = [], rows.num
    for shard, num in enumerate(rows.of_shards):
        for first in range(0, num, ROW_GROUP_ROWS):
            size = min(ROW_GROUP_ROWS, num - first, left)
            if size > 0:
                units.append(Unit(source, shard, first, size))
                left -= size
    return units


def row_order(unit: Unit, *, seed: int, cycle: int) -> list[int]:
    """The order in which a unit's rows are trained, as row numbers from 0 within the unit."""
    order = list(range(unit.rows))
    random.Random(f"rows {seed} {cycle} {unit.source} {unit.shard} {unit.first}").shuffle(order)
    return order
