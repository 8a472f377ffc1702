"""Where a run stands in its stream: enough to go on from there with any number of ranks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contract.errors import UserError
from trainer.config import is_at_least
from trainer.plan.order import Address


@dataclass(frozen=True)
class Place:
    """Where a lane stands: the blocks that it has read, and the records of these that it has not yet given."""

    blocks: int = 0
    held: tuple[Address, ...] = ()

    def to_json(self) -> list[Any]:
        """`[blocks, {block: [indices]}]`."""
        held: dict[str, list[int]] = {}
        for address in self.held:
            held.setdefault(str(address.block), []).append(address.index)
        return [self.blocks, held]

    @staticmethod
    def from_json(document: Sequence[Any]) -> "Place":
        """The place that `to_json` wrote."""
        blocks, held = document
        return Place(blocks, tuple(Address(int(block), index) for block in held for index in held[block]))


@dataclass(frozen=True)
class Cursor:
    """Where a run stands, over all ranks: enough to go on with any number of them."""

    epoch: int = 0
    packs: int = 0  # of this epoch, over all lanes, empty ones included
    records: int = 0  # learnt or skipped in this epoch
    lanes: Mapping[int, Place] = field(default_factory=dict)  # a lane that is not named stands at its start

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a checkpoint."""
        lanes = {str(lane): place.to_json() for lane, place in sorted(self.lanes.items())}
        return {"epoch": self.epoch, "packs": self.packs, "records": self.records, "lanes": lanes}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Cursor":
        """The cursor that `to_json` wrote; UserError names every part that is none of it."""
        if problems := cursor_problems(document):
            raise UserError("; ".join(problems))
        lanes = {int(lane): Place.from_json(place) for lane, place in document["lanes"].items()}
        return Cursor(document["epoch"], document["packs"], document["records"], lanes)

    def after(self, places: Sequence[Mapping[int, Place]], *, packs_per_step: int, records: int) -> "Cursor":
        """The cursor after a step: where some or all ranks' lanes stand then, and the records that all of them took."""
        lanes = {lane: place for of_rank in places for lane, place in of_rank.items()}
        return Cursor(self.epoch, self.packs + packs_per_step, self.records + records, {**self.lanes, **lanes})


def cursor_problems(document: Any) -> list[str]:
    """What is not as `Cursor.to_json` writes it."""
    if not isinstance(document, Mapping):
        return [f"cursor = {document!r:.60}, expected an object"]
    problems = [
        f"cursor: {name} = {document.get(name)!r:.60}, expected an integer of at least 0"
        for name in ("epoch", "packs", "records")
        if not is_at_least(0, document.get(name))
    ]
    lanes = document.get("lanes")
    if not isinstance(lanes, Mapping):
        return [*problems, f"cursor: lanes = {lanes!r:.60}, expected an object"]
    return problems + [
        f"cursor: lane {lane!r:.20} at {place!r:.60}, expected a number at [blocks, {{block before these: [indices]}}]"
        for lane, place in lanes.items()
        if not (_is_number(lane) and _is_place(place))
    ]


def _is_place(document: Any) -> bool:
    if not isinstance(document, list | tuple) or len(document) != 2:
        return False
    blocks, held = document
    return (
        is_at_least(0, blocks)
        and isinstance(held, Mapping)
        and all(_is_number(block) and int(block) < blocks for block in held)
        and all(isinstance(each, list) and all(is_at_least(0, index) for index in each) for each in held.values())
    )


def _is_number(key: Any) -> bool:
    return isinstance(key, str) and key.isascii() and key.isdecimal()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two identities do not agree in, in words."""
    return [
        f"{name} was {before.get(name)!r} and is {value!r}" for name, value in now.items() if before.get(name) != value
    ]
