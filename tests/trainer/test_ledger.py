"""The ledger is the same for any number of ranks, and is cut back to the step that a run goes on from."""

import random
from pathlib import Path

import pytest

from contract.errors import UserError
from trainer.examples import Example, Pack
from trainer.ledger import LearntStep, cut_ledger, learnt, merge, read_ledger, write_ledger
from trainer.stream import StepPacks


def whole_steps(num: int, *, packs_per_step: int) -> list[LearntStep]:
    draw = random.Random(num)
    return [
        LearntStep(
            step,
            0,
            first_pack := (step - 1) * packs_per_step,
            [
                [pack * 10 + row for row in range(draw.randint(0, 4))]
                for pack in range(first_pack, step * packs_per_step)
            ],
        )
        for step in range(1, num + 1)
    ]


def packs_of(rows: list[list[int]]) -> StepPacks:
    return StepPacks(tuple(Pack(tuple(Example(row, [1, 2], 1, 0) for row in pack)) for pack in rows), {})


@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("packs_per_step", [1, 3, 8])
def test_the_parts_of_all_ranks_make_up_the_steps(world: int, packs_per_step: int) -> None:
    """Also where some ranks have no pack in a step, and packs hold no records."""
    steps = whole_steps(9, packs_per_step=packs_per_step)
    parts = [
        [
            learnt(
                packs_of([rows for number, rows in enumerate(step.packs, step.first_pack) if number % world == rank]),
                step=step.step,
                epoch=step.epoch,
                first_pack=step.first_pack,
            )
            for step in steps
        ]
        for rank in range(world)
    ]

    assert list(merge(parts)) == steps


def test_steps_after_the_one_that_a_run_goes_on_from_are_dropped(tmp_path: Path) -> None:
    steps = whole_steps(30, packs_per_step=2)
    for first in (0, 10, 20):
        write_ledger(tmp_path, steps[first : first + 10])
    write_ledger(tmp_path, [])

    assert list(read_ledger(tmp_path)) == steps
    cut_ledger(tmp_path, last_step=20)
    assert list(read_ledger(tmp_path)) == steps[:20]
    cut_ledger(tmp_path, last_step=0)
    with pytest.raises(UserError, match="--ledger' writes one"):
        list(read_ledger(tmp_path))


def test_a_ledger_that_lacks_steps_is_refused(tmp_path: Path) -> None:
    steps = whole_steps(30, packs_per_step=2)
    write_ledger(tmp_path, steps[:10])
    write_ledger(tmp_path, steps[20:])

    with pytest.raises(UserError, match=r"from-00000021.jsonl goes on with step 21, expected 11: give --ledger"):
        list(read_ledger(tmp_path))
