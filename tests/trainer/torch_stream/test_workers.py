"""What workers make, and what each copy of a data set knows: without data and without processes."""

from dataclasses import replace
from itertools import pairwise

import pytest

from contract.errors import UserError
from trainer.examples.encoder import Example, Pack
from trainer.plan.order import NUM_LANES, Rank
from trainer.stream.cursor import Cursor, LanePosition
from trainer.stream.packs import StepPacks
from trainer.torch_stream.workers import CopyState, PackPosition, Worker, furthest, positions_of

ALONE = Rank(0, 1)


def copy_of(rank: Rank = ALONE, *, batch_size: int = 1, num_lanes: int = NUM_LANES) -> CopyState:
    return CopyState(rank=rank, batch_size=batch_size, num_lanes=num_lanes)


def positions(copy: CopyState, *, num_workers: int, num_packs: int) -> list[PackPosition]:
    """Positions of packs of one record each, in order, as this many workers make them."""
    workers = [copy.worker(index, num_workers=num_workers) for index in range(num_workers)]
    made: list[PackPosition] = []
    previous: dict[int, int] = {}
    start = copy.rank.first_pack(copy.cursor.packs)
    for pack in range(start, start + num_packs * copy.rank.world, copy.rank.world):
        (worker,) = [worker for worker in workers if worker.owns(pack)]
        lane = {pack % copy.num_lanes: LanePosition(pack + 1, {})}
        made.append(PackPosition(0, pack, (pack,), lanes=lane, worker=worker, follows=previous.get(worker.index)))
        previous[worker.index] = pack
    return made


@pytest.mark.parametrize("world", [1, 2, 3, 6, 48])
@pytest.mark.parametrize("num", [1, 2, 3, 7])
@pytest.mark.parametrize("batch", [1, 4])
def test_every_pack_of_a_rank_is_made_by_one_worker_that_reads_its_lane(world: int, num: int, batch: int) -> None:
    first = 31  # where the run goes on
    workers = [Worker(Rank(world - 1, world), index, num, batch, first) for index in range(num)]
    for turn in range(100):
        pack = first + (world - 1 - first) % world + turn * world
        assert [worker.owns(pack) for worker in workers] == [turn // batch % num == index for index in range(num)]
        assert pack % NUM_LANES in workers[turn // batch % num].lanes(NUM_LANES)
    if NUM_LANES % (world * num * batch) == 0:
        assert sum(len(worker.lanes(NUM_LANES)) for worker in workers) == NUM_LANES // world  # no lane is read twice
    assert workers[0].shares_lanes(NUM_LANES) == (NUM_LANES % (world * num * batch) > 0)


@pytest.mark.parametrize("world", [1, 2, 5])
def test_the_only_worker_makes_all_packs_of_its_rank(world: int) -> None:
    rank = Rank(world - 1, world)

    assert [Worker(rank).owns(pack) for pack in range(50)] == [rank.owns(pack) for pack in range(50)]
    assert Worker(rank).lanes(NUM_LANES) == rank.lanes(NUM_LANES)


@pytest.mark.parametrize(("world", "num_workers", "batch_size"), [(1, 1, 1), (1, 3, 2), (2, 2, 1), (3, 1, 4)])
def test_trained_packs_move_the_cursor_by_rounds_of_all_ranks(world: int, num_workers: int, batch_size: int) -> None:
    copy = copy_of(Rank(world - 1, world), batch_size=batch_size)
    for number, position in enumerate(positions(copy, num_workers=num_workers, num_packs=12), 1):
        copy = copy.after_training([position])
        assert (copy.cursor.packs, copy.cursor.records, copy.first_turn) == (number * world, number, number * world)
        assert copy.to_resume(None) == copy.cursor


def test_the_users_copy_resumes_after_what_was_yielded_until_something_is_reported() -> None:
    copy = copy_of().iterated(None)
    first, second, _ = positions(copy, num_workers=1, num_packs=3)
    copy = copy.after_yielding(first).after_yielding(second)
    assert (copy.cursor.packs, copy.to_resume(None).packs) == (0, 2)

    copy = copy.after_training([first])
    assert copy.to_resume(None).packs == 1
    copy = copy.put_to(Cursor.start(1)).iterated(None).after_yielding(replace(first, epoch=1))
    assert copy.to_resume(None) == Cursor.start(1)  # also in the next epoch: this loop reports


def test_a_workers_copy_resumes_after_what_it_yielded_itself() -> None:
    users = copy_of().iterated(None)
    packs = positions(users, num_workers=2, num_packs=4)
    users = users.after_training(packs[:1]).after_yielding(packs[0])
    assert users.to_resume(1) == users.cursor  # copied to a worker that has yielded nothing

    worker = users.iterated(1)
    assert worker.to_resume(1).packs == 1
    assert worker.after_yielding(packs[3]).to_resume(1).packs == 4


def test_a_worker_iterates_once_and_again_only_from_a_loaded_state() -> None:
    worker = copy_of().iterated(0)
    with pytest.raises(UserError, match="persistent_workers"):
        worker.iterated(0)

    loaded = worker.put_to(Cursor(0, 6, 5, {}), records_before=2, first_turn=4).iterated(0)
    assert (loaded.records_before, loaded.first_turn, loaded.to_resume(0).packs) == (2, 4, 6)


def test_an_iteration_ends_where_its_data_set_is_moved() -> None:
    copy = copy_of().iterated(None)
    (position,) = positions(copy, num_workers=1, num_packs=1)
    with pytest.raises(UserError, match="begin a new iteration"):
        copy.put_to(Cursor.start(2)).after_yielding(position)


@pytest.mark.parametrize(("num_workers", "num_lanes"), [(1, 48), (2, 48), (4, 48), (4, 6), (5, 48)])
def test_a_missing_pack_is_found_and_nothing_is_moved(num_workers: int, num_lanes: int) -> None:
    """By the next pack where workers share no lanes, else by the next one of its worker."""
    copy = copy_of(num_lanes=num_lanes)
    packs = positions(copy, num_workers=num_workers, num_packs=20)
    delay = num_workers if packs[0].worker.shares_lanes(num_lanes) else 1
    for missing in range(num_workers, 20 - delay):
        left = packs[:missing] + packs[missing + 1 :]
        assert copy.after_training(left[: missing + delay - 1]).cursor.records == missing + delay - 1
        with pytest.raises(UserError, match=f"but not pack {missing} before it"):
            copy.after_training(left[: missing + delay])


def test_a_worker_that_has_come_to_its_end_misses_no_pack() -> None:
    copy = copy_of()
    packs = positions(copy, num_workers=2, num_packs=9)
    packs[3] = replace(packs[3], is_last=True)

    assert copy.after_training([each for each in packs if each.pack not in (5, 7)]).cursor.packs == 9


def test_packs_out_of_order_or_of_another_epoch_are_refused() -> None:
    copy = copy_of(batch_size=3)
    first, second = positions(copy, num_workers=1, num_packs=2)
    copy = copy.after_training([first, second])
    for wrong in (second, first, replace(second, pack=2, epoch=1)):
        with pytest.raises(UserError, match=r"expected pack 2 of epoch 0 or a later one: .* \(it has 3\)"):
            copy.after_training([wrong])


def test_positions_are_those_of_turns_up_to_the_last_record() -> None:
    """Of every second pack; a turn without records counts, and ends once the lanes are over."""

    def step(row: int | None, *, blocks: int, is_over: bool = False) -> StepPacks:
        examples = () if row is None else (Example(row, [1, 2], 1, num_cut=row % 2),)
        return StepPacks((Pack(examples),), {0: LanePosition(blocks, {})}, is_over=is_over)

    worker = Worker(Rank(1, 2))
    steps = [step(7, blocks=1), step(None, blocks=1), step(8, blocks=2, is_over=True), step(None, blocks=2)]
    found = [position for _, position in positions_of(iter(steps), Cursor(0, 4, 3, {}), worker)]

    assert [(each.pack, each.rows, each.num_cut) for each in found] == [(5, (7,), 1), (7, (), 0), (9, (8,), 0)]
    assert [each.follows for each in found] == [None, 5, 7]
    assert [each.lanes for each in found] == [{0: LanePosition(1, {})}, {}, {0: LanePosition(2, {})}]
    assert [each.is_last for each in found] == [False, False, True]


def test_of_two_positions_of_a_lane_the_later_one_counts() -> None:
    in_order = [
        LanePosition(0, {}),
        LanePosition(2, {1: (3, 4)}),
        LanePosition(2, {1: (4,)}),
        LanePosition(3, {1: (4,)}),
    ]
    for earlier, later in pairwise(in_order):
        assert furthest({0: earlier}, {0: later, 1: earlier}) == {0: later, 1: earlier}
        assert furthest({0: later}, {0: earlier}) == {0: later}
