"""Which records are learnt in which order: pure arithmetic over (manifest, seed, epoch).

An epoch's records lie in *lanes*. Pack p of the epoch belongs to lane p mod L, a step takes G consecutive packs, and
rank r of W learns the packs congruent to r modulo W. So a step holds the same packs on any number of GPUs. A rank reads
only the lanes that it learns from: L/W of them where W divides L, which is why L is 48 for anything but small data.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from contract.columns import ROW_GROUP_ROWS
from contract.manifest import Shard

NUM_LANES: Final = 48  # divides by 1, 2, 3, 4, 6, 8, 12, 16, 24, 48
_ROWS_PER_LANE: Final = 1_024  # fewer rows a lane, fewer lanes: each lane's last pack is only partly filled


@dataclass(frozen=True)
class Rank:
    """One process of a run, the only place that ranks come from."""

    index: int
    world: int

    def lanes(self, num_lanes: int) -> set[int]:
        """The lanes that hold packs of this rank."""
        return {pack % num_lanes for pack in range(self.index, math.lcm(num_lanes, self.world), self.world)}

    def owns(self, pack: int) -> bool:
        """Whether this rank learns pack `pack` of the epoch."""
        return pack % self.world == self.index


@dataclass(frozen=True)
class Unit:
    """Rows of one shard that are read together: a row group. `first` counts from the shard's start."""

    shard: int
    first: int
    rows: int


@dataclass(frozen=True)
class Stretch:
    """A part of a unit, in the unit's order of this epoch."""

    unit: Unit
    start: int
    stop: int


def num_lanes(num_rows: int) -> int:
    """Lanes for this many records."""
    return max(1, min(NUM_LANES, num_rows // _ROWS_PER_LANE))


def units_of(shards: Sequence[Shard], *, limit: int | None = None) -> list[Unit]:
    """The row groups of a split in stored order; with a limit, only its first rows."""
    units, left = [], sum(shard.rows for shard in shards) if limit is None else limit
    for index, shard in enumerate(shards):
        for first in range(0, shard.rows, ROW_GROUP_ROWS):
            rows = min(ROW_GROUP_ROWS, shard.rows - first, left)
            if rows > 0:
                units.append(Unit(index, first, rows))
                left -= rows
    return units


def plan_lane(units: Sequence[Unit], *, lane: int, lanes: int, seed: int, epoch: int) -> list[Stretch]:
    """What one lane reads in an epoch, in order: the lane-th of `lanes` equal cuts through the permuted units."""
    order = list(units)
    random.Random(f"units {seed} {epoch}").shuffle(order)
    num_rows = sum(unit.rows for unit in units)
    start, stop = lane * num_rows // lanes, (lane + 1) * num_rows // lanes
    stretches, position = [], 0
    for unit in order:
        first, last = max(start, position), min(stop, position + unit.rows)
        if first < last:
            stretches.append(Stretch(unit, first - position, last - position))
        position += unit.rows
    return stretches


def row_order(unit: Unit, *, seed: int, epoch: int) -> list[int]:
    """The order in which a unit's rows are learnt in an epoch, as positions from 0."""
    order = list(range(unit.rows))
    random.Random(f"rows {seed} {epoch} {unit.shard} {unit.first}").shuffle(order)
    return order


def windows(stretches: Sequence[Stretch], *, window_rows: int, first: int = 0) -> Iterator[list[Stretch]]:
    """A lane's stretches cut into windows of equal row count (the last holds the rest), from window `first` on."""
    skip, room, window = first * window_rows, window_rows, []
    for stretch in stretches:
        start = min(stretch.stop, stretch.start + skip)
        skip -= start - stretch.start
        while start < stretch.stop:
            stop = min(stretch.stop, start + room)
            window.append(Stretch(stretch.unit, start, stop))
            room -= stop - start
            start = stop
            if not room:
                yield window
                room, window = window_rows, []
    if window:
        yield window
