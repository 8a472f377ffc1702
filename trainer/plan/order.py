"""Which records are learnt in which order: pure arithmetic over (data sets, seed, epoch).

An epoch's records lie in *lanes*. Pack p of the epoch belongs to lane p mod L, a step takes G consecutive packs, and
rank r of W learns the packs congruent to r modulo W. So a step holds the same packs on any number of GPUs. A rank reads
only the lanes that it learns from: L/W of them where W divides L, which is why L is 48 for anything but small data.

Rows of all data sets -> Unit (a row group) -> Stretch (what a lane reads of it) -> block (some 64 records of a lane)
"""

import bisect
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

from contract.columns import ROW_GROUP_ROWS

NUM_LANES: Final = 48  # divides by 1, 2, 3, 4, 6, 8, 12, 16, 24, 48
BLOCK_ROWS: Final = 64  # records that are read, tokenised and mixed together
_MIN_LANE_ROWS: Final = 64


@dataclass(frozen=True)
class Worker:
    """One of several processes that make a rank's packs for it: in turn, `batch` packs each time."""

    index: int = 0
    num: int = 1
    batch: int = 1
    first: int = 0  # the pack of the epoch from which turns are counted


@dataclass(frozen=True)
class Rank:
    """One process of a run, the only place that ranks come from; or one worker of it."""

    index: int
    world: int
    worker: Worker = Worker()

    def lanes(self, num_lanes: int) -> set[int]:
        """The lanes that hold packs of this rank."""
        first, period = self.worker.first, math.lcm(num_lanes, self.world * self.worker.num * self.worker.batch)
        mine = range(first + (self.index - first) % self.world, first + period, self.world)
        return {pack % num_lanes for pack in mine if self.owns(pack)}

    def owns(self, pack: int) -> bool:
        """Whether this rank learns pack `pack` of the epoch."""
        turn = (pack - self.worker.first) // self.world // self.worker.batch
        return pack % self.world == self.index and turn % self.worker.num == self.worker.index


@dataclass(frozen=True)
class Rows:
    """The rows of one data set: how many each of its shards has, and how many of them all may be learnt."""

    of_shards: tuple[int, ...]
    limit: int | None = None
    weight: Fraction = Fraction(1)

    @property
    def num(self) -> int:
        """Rows that may be learnt."""
        num = sum(self.of_shards)
        return num if self.limit is None else min(num, self.limit)


@dataclass(frozen=True)
class Unit:
    """Rows of one shard that are read together: a row group. `first` counts from the shard's start."""

    source: int  # the data set's place among those that are learnt together
    shard: int
    first: int
    rows: int


@dataclass(frozen=True)
class Stretch:
    """A part of a unit, in the order that its rows have when the data set is gone through for the `cycle`-th time."""

    unit: Unit
    cycle: int
    start: int
    stop: int

    @property
    def num(self) -> int:
        """Rows of it."""
        return self.stop - self.start


@dataclass(frozen=True)
class Address:
    """A record's place in its lane."""

    block: int
    index: int  # in the block


@dataclass(frozen=True)
class Lane:
    """What a lane reads in an epoch, by data set."""

    parts: tuple[tuple[Stretch, ...], ...]

    @cached_property
    def _starts(self) -> list[list[int]]:
        """Where each stretch begins in its part, and where the part ends."""
        return [_starts_of(part) for part in self.parts]

    @cached_property
    def num_blocks(self) -> int:
        """Blocks of at most BLOCK_ROWS records, or of one more for each data set but one."""
        return -(-sum(starts[-1] for starts in self._starts) // BLOCK_ROWS)

    def block(self, number: int) -> list[Stretch]:
        """An equal share of every part, so that data sets mix evenly."""
        stretches = []
        for part, starts in zip(self.parts, self._starts, strict=True):
            first, stop = (edge * starts[-1] // self.num_blocks for edge in (number, number + 1))
            stretches += list(_cut(part, starts, first, stop))
        return stretches

    def num_rows(self, block: int) -> int:
        """Records of a block, by plan."""
        return sum(stretch.num for stretch in self.block(block))

    def addresses(self, block: int) -> list[Address]:
        """Those of all records of a block, in order."""
        return [Address(block, index) for index in range(self.num_rows(block))]

    def unit_after(self, stretch: Stretch) -> Unit | None:
        """The unit that is read when this stretch's is used up."""
        part = self.parts[stretch.unit.source]
        place = [(each.unit, each.cycle) for each in part].index((stretch.unit, stretch.cycle)) + 1
        return part[place].unit if place < len(part) else None


def _starts_of(part: Sequence[Stretch], *, first: int = 0) -> list[int]:
    """Where each stretch begins, the first one at `first`, and where the last one ends."""
    return list(itertools.accumulate((stretch.num for stretch in part), initial=first))


def _cut(part: Sequence[Stretch], starts: Sequence[int], first: int, stop: int) -> Iterator[Stretch]:
    """Rows `first` to `stop` of a part."""
    for place in range(bisect.bisect_right(starts, first) - 1, len(part)):
        start, stretch = starts[place], part[place]
        begin, end = max(first - start, 0), min(stop - start, stretch.num)
        if begin >= end:
            return
        yield Stretch(stretch.unit, stretch.cycle, stretch.start + begin, stretch.start + end)


def num_lanes(num_rows: int, *, max_length: int) -> int:
    """Lanes for this many records: fewer for small data, since each lane's last pack is only partly filled."""
    return max(1, min(NUM_LANES, num_rows // max(_MIN_LANE_ROWS, max_length // 2)))


def rows_of_epoch(sources: Sequence[Rows]) -> list[int]:
    """How many records an epoch takes from each data set.

    As many as their weights say, and in all as many as there can be if none is to come twice in an epoch. What is
    left of a data set comes in the next epoch: each is gone through to its end before any of it comes again.
    """
    most = min(Fraction(source.num) / source.weight for source in sources)
    return [math.floor(most * source.weight) for source in sources]


def plan_epoch(sources: Sequence[Rows], *, lanes: int, seed: int, epoch: int) -> list[Lane]:
    """What every lane reads in an epoch: each data set's rows of this epoch, cut into equal parts."""
    cuts_of_sources = []
    for index, num in enumerate(rows_of_epoch(sources)):
        part = _stretches(sources[index], index, first=epoch * num, stop=(epoch + 1) * num, seed=seed)
        starts = _starts_of(part)
        edges = [lane * num // lanes for lane in range(lanes + 1)]
        cuts_of_sources.append([tuple(_cut(part, starts, *edge)) for edge in itertools.pairwise(edges)])
    return [Lane(parts) for parts in zip(*cuts_of_sources, strict=True)]


def _stretches(rows: Rows, source: int, *, first: int, stop: int, seed: int) -> list[Stretch]:
    """Rows `first` to `stop` of a data set that is gone through again and again, each time in another order."""
    stretches = []
    for cycle in range(first // max(1, rows.num), -(-stop // max(1, rows.num))):
        whole = [Stretch(unit, cycle, 0, unit.rows) for unit in _order(units_of(rows, source), seed=seed, cycle=cycle)]
        starts = _starts_of(whole, first=cycle * rows.num)
        stretches += list(_cut(whole, starts, max(first, starts[0]), min(stop, starts[-1])))
    return stretches


def _order(units: Sequence[Unit], *, seed: int, cycle: int) -> list[Unit]:
    """Shard by shard, so that few shards are open at a time: rows lie in random order from shard to shard anyway."""
    draw = random.Random(f"units {seed} {cycle} {units[0].source if units else 0}")
    shards = [list(group) for _, group in itertools.groupby(units, key=lambda unit: unit.shard)]
    draw.shuffle(shards)
    for shard in shards:
        draw.shuffle(shard)
    return [unit for shard in shards for unit in shard]


def units_of(rows: Rows, source: int = 0) -> list[Unit]:
    """The row groups in stored order; with a limit, only the first rows."""
    units, left = [], rows.num
    for shard, num in enumerate(rows.of_shards):
        for first in range(0, num, ROW_GROUP_ROWS):
            size = min(ROW_GROUP_ROWS, num - first, left)
            if size > 0:
                units.append(Unit(source, shard, first, size))
                left -= size
    return units


def row_order(unit: Unit, *, seed: int, cycle: int) -> list[int]:
    """The order in which a unit's rows are learnt, as positions from 0."""
    order = list(range(unit.rows))
    random.Random(f"rows {seed} {cycle} {unit.source} {unit.shard} {unit.first}").shuffle(order)
    return order
