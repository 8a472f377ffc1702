"""The order of records: every row once, the same whatever the number of ranks."""

import itertools
from collections import Counter

import pytest

from contract.columns import ROW_GROUP_ROWS
from contract.manifest import Shard
from trainer.plan import NUM_LANES, Rank, num_lanes, plan_lane, row_order, units_of, windows

_SHARDS = {
    "none": [],
    "one row": [1],
    "less than a row group": [ROW_GROUP_ROWS - 1],
    "uneven": [ROW_GROUP_ROWS * 2 + 3, 1, ROW_GROUP_ROWS, 7],
    "many": [5_000] * 7 + [13],
}


def _shards(rows: list[int]) -> list[Shard]:
    return [Shard(f"train/{number}", num, 0, "") for number, num in enumerate(rows)]


@pytest.mark.parametrize("rows", _SHARDS.values(), ids=list(_SHARDS))
@pytest.mark.parametrize("lanes", [1, 2, 5, 48])
@pytest.mark.parametrize("epoch", [0, 1])
def test_the_lanes_of_an_epoch_hold_every_row_once(rows: list[int], lanes: int, epoch: int) -> None:
    units = units_of(_shards(rows))
    seen: Counter[tuple[int, int]] = Counter()
    for lane in range(lanes):
        stretches = plan_lane(units, lane=lane, lanes=lanes, seed=3, epoch=epoch)
        for window in windows(stretches, window_rows=512):
            for stretch in window:
                order = row_order(stretch.unit, seed=3, epoch=epoch)[stretch.start : stretch.stop]
                seen.update((stretch.unit.shard, stretch.unit.first + row) for row in order)

    assert seen == Counter((shard, row) for shard, num in enumerate(rows) for row in range(num))


@pytest.mark.parametrize("rows", _SHARDS.values(), ids=list(_SHARDS))
@pytest.mark.parametrize("window_rows", [1, 100, 512, 10_000])
def test_windows_from_any_window_on_are_the_same_windows(rows: list[int], window_rows: int) -> None:
    stretches = plan_lane(units_of(_shards(rows[:4])), lane=0, lanes=1, seed=0, epoch=0)
    whole = list(itertools.islice(windows(stretches, window_rows=window_rows), 30))

    for first in range(0, len(whole) + 1, 1 + len(whole) // 5):
        rest = list(itertools.islice(windows(stretches, window_rows=window_rows, first=first), len(whole) - first))
        assert rest == whole[first:]
    for window in whole[:-1]:
        assert sum(stretch.stop - stretch.start for stretch in window) == window_rows


@pytest.mark.parametrize("world", [1, 2, 3, 4, 5, 6, 7, 8, 12, 48])
@pytest.mark.parametrize("lanes", [1, 4, 48])
def test_every_pack_has_one_owner_that_reads_its_lane(world: int, lanes: int) -> None:
    ranks = [Rank(index, world) for index in range(world)]
    for pack in range(200):
        owners = [rank for rank in ranks if rank.owns(pack)]
        assert len(owners) == 1
        assert pack % lanes in owners[0].lanes(lanes)
    if lanes % world == 0:
        assert sum(len(rank.lanes(lanes)) for rank in ranks) == lanes  # no lane is read twice


def test_order_changes_with_epoch_and_seed_and_with_nothing_else() -> None:
    units = units_of(_shards([5_000] * 7))

    def order(seed: int, epoch: int) -> list:
        return plan_lane(units, lane=0, lanes=1, seed=seed, epoch=epoch)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    assert row_order(units[0], seed=0, epoch=0) != row_order(units[1], seed=0, epoch=0)


def test_a_limit_takes_the_first_rows() -> None:
    units = units_of(_shards([10, 5_000]), limit=2_500)

    assert [(unit.shard, unit.first, unit.rows) for unit in units] == [(0, 0, 10), (1, 0, 2_000), (1, 2_000, 490)]


def test_small_data_has_fewer_lanes() -> None:
    assert [num_lanes(rows) for rows in (0, 1, 2_047, 2_048, 10**6)] == [1, 1, 1, 2, NUM_LANES]
