"""The order of records: every row once, the same whatever the number of ranks, data sets mixed evenly."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest

from contract.columns import ROW_GROUP_ROWS
from trainer.plan.order import (
    BLOCK_ROWS,
    NUM_LANES,
    Lane,
    Rank,
    RowRange,
    Stretch,
    num_lanes,
    plan_epoch,
    row_order,
    rows_of_epoch,
    units_of,
)

_SHARDS = {
    "none": (),
    "one row": (1,),
    "less than a row group": (ROW_GROUP_ROWS - 1,),
    "uneven": (ROW_GROUP_ROWS * 2 + 3, 1, ROW_GROUP_ROWS, 7),
    "many": (*[5_000] * 7, 13),
}


def rows_in_order(lane: Lane, *, seed: int = 3) -> list[tuple[int, int, int]]:
    """(data set, shard, row of the shard) of each record of a lane."""
    rows = []
    for number in range(lane.num_blocks):
        for stretch in lane.block(number):
            order = row_order(stretch.unit, seed=seed, cycle=stretch.cycle)[stretch.start : stretch.stop]
            rows += [(stretch.unit.source, stretch.unit.shard, stretch.unit.first + row) for row in order]
    return rows


def all_rows(sources: Sequence[RowRange]) -> Counter[tuple[int, int, int]]:
    return Counter(
        (source, shard, row)
        for source, rows in enumerate(sources)
        for shard, num in enumerate(rows.of_shards)
        for row in range(num)
    )


@pytest.mark.parametrize("shards", _SHARDS.values(), ids=list(_SHARDS))
@pytest.mark.parametrize("lanes", [1, 2, 5, 48])
@pytest.mark.parametrize("epoch", [0, 1])
def test_the_lanes_of_an_epoch_hold_every_row_once(shards: tuple[int, ...], lanes: int, epoch: int) -> None:
    sources = [RowRange(shards)]
    plans = plan_epoch(sources, lanes=lanes, seed=3, epoch=epoch)
    lengths = [len(rows_in_order(lane)) for lane in plans]

    assert len(plans) == lanes
    assert sum((Counter(rows_in_order(lane)) for lane in plans), Counter()) == all_rows(sources)
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("shards", _SHARDS.values(), ids=list(_SHARDS))
def test_blocks_are_small_and_know_their_size(shards: tuple[int, ...]) -> None:
    (lane,) = plan_epoch([RowRange(shards)], lanes=1, seed=0, epoch=0)
    sizes = [lane.num_rows(number) for number in range(lane.num_blocks)]

    assert sizes == [sum(stretch.num for stretch in lane.block(number)) for number in range(lane.num_blocks)]
    assert all(0 < size <= BLOCK_ROWS for size in sizes)
    assert sum(sizes) == sum(shards)


@pytest.mark.parametrize("world", [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 48])
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
    sources = [RowRange((5_000,) * 7)]

    def order(seed: int, epoch: int) -> list[tuple[int, int, int]]:
        (lane,) = plan_epoch(sources, lanes=1, seed=seed, epoch=epoch)
        return rows_in_order(lane, seed=seed)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    units = units_of(sources[0])
    assert row_order(units[0], seed=0, cycle=0) != row_order(units[1], seed=0, cycle=0)


def test_a_lane_goes_from_shard_to_shard() -> None:
    """Few shards are open at a time: a cache with room for one more than there are lanes fetches each once."""
    (lane,) = plan_epoch([RowRange((5_000,) * 7)], lanes=1, seed=0, epoch=0)
    shards = [shard for _, shard, _ in rows_in_order(lane)]

    assert sum(first != second for first, second in pairwise(shards)) == 6


def test_a_limit_takes_the_first_rows() -> None:
    units = units_of(RowRange((10, 5_000), limit=2_500))

    assert [(unit.shard, unit.first, unit.rows) for unit in units] == [(0, 0, 10), (1, 0, 2_000), (1, 2_000, 490)]


def test_small_data_has_fewer_lanes_and_so_have_long_packs() -> None:
    assert [num_lanes(rows, max_length=2_048) for rows in (0, 1, 2_047, 2_048, 10**6)] == [1, 1, 1, 2, NUM_LANES]
    assert num_lanes(100_000, max_length=32_768) == 6


MIX = [RowRange((3_000, 1_500), weight=Fraction("0.7")), RowRange((900,), weight=Fraction("0.3"))]


def test_a_mix_takes_by_weight_as_many_as_there_are() -> None:
    assert rows_of_epoch(MIX) == [2_100, 900]
    assert rows_of_epoch([RowRange((10,)), RowRange((25,))]) == [10, 10]
    assert rows_of_epoch([RowRange((1_000,)), RowRange((25,), limit=5)]) == [5, 5]


def test_each_data_set_of_a_mix_is_gone_through_before_any_of_it_comes_again() -> None:
    """4,500 rows at 2,100 an epoch: after 15 epochs each has come 7 times, and never once more than another."""
    seen: Counter[tuple[int, int, int]] = Counter()
    for epoch in range(15):
        for lane in plan_epoch(MIX, lanes=4, seed=3, epoch=epoch):
            seen.update(rows_in_order(lane))
        counts = [count for row, count in (seen | Counter()).items() if row[0] == 0]
        assert max(counts) - (min(counts) if len(counts) == 4_500 else 0) <= 1

    assert {row: count for row, count in seen.items() if row[0] == 0} == dict.fromkeys(all_rows(MIX[:1]), 7)
    assert {count for row, count in seen.items() if row[0] == 1} == {15}


def test_a_mix_is_even_from_block_to_block() -> None:
    for lane in plan_epoch(MIX, lanes=3, seed=0, epoch=1):
        for number in range(lane.num_blocks):
            shares = Counter[int]()
            for stretch in lane.block(number):
                shares[stretch.unit.source] += stretch.num
            assert shares[0] / shares.total() == pytest.approx(0.7, abs=1.5 / BLOCK_ROWS)


def test_the_unit_after_is_the_one_that_is_read_next() -> None:
    (lane,) = plan_epoch([RowRange((5_000, 3_000))], lanes=1, seed=0, epoch=0)
    part = lane.parts[0]

    assert [lane.unit_after(stretch) for stretch in part] == [*(stretch.unit for stretch in part[1:]), None]
    assert lane.unit_after(Stretch(part[0].unit, 0, 5, 6)) == part[1].unit
