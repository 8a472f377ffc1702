"""The cursor's JSON, which checkpoints keep, and how two identities differ."""

import json
import random

import pytest

from contract.errors import UserError
from trainer.plan.order import Address
from trainer.stream.cursor import Cursor, LanePosition, differences

# As checkpoints have had it from the first version on.
TEXT = '{"epoch":1,"packs":24,"records":90,"lanes":{"0":[3,{"1":[7],"2":[5,9]}],"10":[1,{}]}}'
CURSOR = Cursor(1, 24, 90, {0: LanePosition(3, {1: (7,), 2: (5, 9)}), 10: LanePosition(1, {})})


def test_the_form_on_disk_stays() -> None:
    assert Cursor.from_json(json.loads(TEXT)) == CURSOR
    assert json.dumps(CURSOR.to_json(), separators=(",", ":")) == TEXT


def test_lanes_are_written_in_order_whatever_rank_came_first() -> None:
    lanes = dict(reversed(CURSOR.lanes.items()))

    assert list(CURSOR.with_lanes(lanes).to_json()["lanes"]) == ["0", "10"]
    assert list(Cursor(1, 0, 0, {}).after([lanes], packs_per_step=1, records=1).to_json()["lanes"]) == ["0", "10"]


@pytest.mark.parametrize("seed", range(5))
def test_a_lane_gives_back_the_addresses_that_it_holds(seed: int) -> None:
    draw = random.Random(seed)
    held = [Address(block, index) for block in range(6) for index in range(10) if draw.random() < 0.3]

    position = LanePosition.of(6, held)
    assert position.addresses == held


def test_the_path_of_what_is_wrong_is_named() -> None:
    with pytest.raises(UserError, match=r"^cursor: Expected `int`, got `str` - at `\$.lanes\[...\]\[1\]\[...\]\[0\]`$"):
        Cursor.from_json(json.loads(TEXT.replace("[7]", '["7"]')))
    with pytest.raises(UserError, match=r"^cursor: Expected held records of blocks below 3, got block 4 - at "):
        Cursor.from_json(json.loads(TEXT.replace('"2"', '"4"')))


def test_differences_are_named_and_a_setting_that_was_not_known_had_its_default() -> None:
    before, now = {"seed": 0, "gone": 1}, {"seed": 1, "new": "english", "other": None}

    assert differences(before, now) == ["seed was 0 and is 1", "new was None and is 'english'"]
    assert differences(before, now, defaults={"new": "english", "seed": 1}) == ["seed was 0 and is 1"]
    assert differences(before, now | {"new": "pt"}, defaults={"new": "english"})[1:] == [
        "new was 'english' and is 'pt'"
    ]
