"""The laws of the stream: exactly once, the same steps for any number of ranks, exact resume."""

import json
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from contract.errors import UserError
from tests.trainer.audits import damage_shard
from trainer.examples.encoder import Encoder
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Rank
from trainer.stream.cursor import Cursor
from trainer.stream.lanes import first_records
from trainer.stream.packs import PackStream, StepPacks

Step = tuple[int, tuple[tuple[int, ...], ...]]  # epoch, rows of each pack


ALONE = Rank(0, 1)
MAX_STEPS = 500  # of an epoch: a stream that goes round in circles must fail, not hang


@pytest.fixture(name="make_stream")
def _make_stream(micro_base: Path, prepared):
    encoder = Encoder(AutoTokenizer.from_pretrained(micro_base), max_length=128)

    def make(rank: Rank, *, packs_per_step: int = 3, limit: int | None = None, data=None) -> PackStream:
        data = data or [DataSet(prepared.root, prepared.manifest, limit=limit)]
        return PackStream(tuple(data), encoder, rank, packs_per_step=packs_per_step, seed=1)

    return make


@pytest.fixture(autouse=True)
def _several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 records in 4 lanes of several blocks, and packs chosen from a few records, as in a large data set."""
    monkeypatch.setattr("trainer.plan.order.BLOCK_ROWS", 10)
    monkeypatch.setattr("trainer.stream.packs._AHEAD_TOKENS", 300)


def _learn(make_stream, cursor: Cursor, *, world: int, steps: int | None = None, epochs: int = 2, **options):
    """What `loop.fit` does, for all ranks together: the ledger of steps, and the cursor after them."""
    ledger: list[Step] = []
    streams = [make_stream(Rank(index, world), **options) for index in range(world)]
    packs_per_step = streams[0].packs_per_step
    while cursor.epoch < epochs and (steps is None or len(ledger) < steps):
        ranks = [stream.epoch(stream.own(cursor)) for stream in streams]
        for _ in range(MAX_STEPS):
            mine = [next(rank) for rank in ranks]
            packs = _in_order(mine, world, cursor.packs, packs_per_step)
            if any(packs):
                ledger.append((cursor.epoch, packs))
            records = sum(part.num_records for part in mine)
            cursor = cursor.after([step.positions for step in mine], packs_per_step=packs_per_step, records=records)
            is_whole = cursor.records == streams[0].num_records
            assert is_whole or not all(part.is_over for part in mine)
            if is_whole or len(ledger) == steps:
                break
        else:
            pytest.fail(f"no end after {MAX_STEPS} steps")
        if is_whole:
            cursor = Cursor.start(cursor.epoch + 1)
    return ledger, Cursor.from_json(json.loads(json.dumps(cursor.to_json())))


def _in_order(mine: list[StepPacks], world: int, first: int, num: int) -> tuple[tuple[int, ...], ...]:
    """The rows of a step's packs in the order of the packs' numbers, from those of each rank."""
    left = [list(part.packs) for part in mine]
    packs = [left[number % world].pop(0) for number in range(first, first + num)]
    assert not any(left)
    return tuple(tuple(example.row for example in pack.examples) for pack in packs)


@pytest.mark.parametrize("world", [1, 2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("packs_per_step", [1, 3, 8])
def test_steps_hold_the_same_packs_on_any_number_of_ranks(make_stream, world: int, packs_per_step: int) -> None:
    ledger, end = _learn(make_stream, Cursor.start(), world=world, packs_per_step=packs_per_step)
    alone, _ = _learn(make_stream, Cursor.start(), world=1, packs_per_step=packs_per_step)

    assert ledger == alone
    assert end == Cursor.start(2)
    for epoch in (0, 1):
        rows = Counter(row for number, packs in ledger if number == epoch for pack in packs for row in pack)
        assert rows == Counter(range(300))


@pytest.mark.parametrize("seed", range(10))
def test_a_run_stopped_at_any_steps_and_resumed_on_other_ranks_learns_the_same(make_stream, seed: int) -> None:
    generator = random.Random(seed)
    whole, _ = _learn(make_stream, Cursor.start(), world=1)
    ledger, cursor = [], Cursor.start()
    while cursor.epoch < 2:
        part, cursor = _learn(make_stream, cursor, world=generator.choice([1, 2, 3, 4]), steps=generator.randint(1, 9))
        ledger += part

    assert ledger == whole


@pytest.mark.parametrize("limit", [1, 2, 16, 17, 299])
def test_a_limit_learns_that_many_records(make_stream, limit: int) -> None:
    ledger, _ = _learn(make_stream, Cursor.start(), world=2, epochs=1, limit=limit)

    assert sorted(row for _, packs in ledger for pack in packs for row in pack) == list(range(limit))


def test_epochs_differ_in_order(make_stream) -> None:
    ledger, _ = _learn(make_stream, Cursor.start(), world=1)

    assert [packs for epoch, packs in ledger if epoch == 0] != [packs for epoch, packs in ledger if epoch == 1]


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_a_damaged_shard_is_named(make_stream, prepared, tmp_path: Path, damage: str) -> None:
    root = tmp_path / "data"
    shutil.copytree(prepared.root, root)
    shard = damage_shard(root, prepared.manifest, damage)
    stream = make_stream(Rank(0, 1), data=[DataSet(str(root), prepared.manifest)])

    with pytest.raises(UserError, match=shard):
        for _, _step in zip(range(MAX_STEPS), stream.epoch(Cursor.start()), strict=False):
            pass


def test_records_whose_shard_is_damaged_while_they_are_held_count_as_skipped(
    make_stream, prepared, tmp_path: Path
) -> None:
    """Else the records of the epoch would never add up."""
    root = tmp_path / "data"
    shutil.copytree(prepared.root, root)
    data = [DataSet(str(root), prepared.manifest)]
    ledger, cursor = _learn(make_stream, Cursor.start(), world=2, steps=8, data=data)
    trained = [row for _, packs in ledger for pack in packs for row in pack]
    damage_shard(root, prepared.manifest, "missing")

    num_skipped = 0
    stream = replace(make_stream(Rank(0, 1), data=data), skip_damaged=True)
    for _, step in zip(range(MAX_STEPS), stream.epoch(cursor), strict=False):
        trained += [example.row for pack in step.packs for example in pack.examples]
        num_skipped += step.num_skipped
        if step.is_over:
            break
    assert num_skipped == len(set(range(100, 200)) - set(trained)) > 0
    assert len(trained) + num_skipped == 300


@pytest.mark.parametrize("world", [1, 3])
def test_two_data_sets_are_trained_together(make_stream, prepared, other_prepared, world: int) -> None:
    """20 of 300 records and all 20: in an epoch as many of both."""
    data = [DataSet(prepared.root, prepared.manifest), DataSet(other_prepared.root, other_prepared.manifest)]
    ledger, _ = _learn(make_stream, Cursor.start(), world=world, epochs=15, data=data)
    counts = Counter(row for _, packs in ledger for pack in packs for row in pack)

    assert counts == {row: 1 if row < 300 else 15 for row in range(320)}


def test_a_record_has_the_wording_of_its_key_and_epoch_on_any_rank_and_after_a_resume(make_stream, prepared) -> None:
    records = first_records([DataSet(prepared.root, prepared.manifest)], 300)
    assert len({record.key for record in records}) == 300
    encoder = make_stream(ALONE).encoder

    for epoch in (0, 5):
        expected = {example.row: example for example in encoder.encode(records, epoch=epoch)}
        for world in (1, 3):
            streams = [make_stream(Rank(index, world)).epoch(Cursor.start(epoch)) for index in range(world)]
            steps = [[next(stream) for stream in streams] for _ in range(4)]
            positions = [step.positions for step in steps[1]]
            cursor = Cursor.start(epoch).after(positions[:0], packs_per_step=3, records=0)
            cursor = cursor.after(positions, packs_per_step=3, records=0)
            resumed = next(make_stream(ALONE).epoch(cursor))
            found = [pack for ranks in steps for step in ranks for pack in step.packs]
            for pack in (*found, *resumed.packs):
                assert all(example == expected[example.row] for example in pack.examples)
            assert sum(len(pack.examples) for pack in found) > 20
            assert resumed.packs[0] in [pack for step in steps[2] for pack in step.packs]
