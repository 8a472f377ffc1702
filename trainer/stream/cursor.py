"""The cursor of a run in its stream: enough to go on from there with any number of ranks.

As JSON, in checkpoints and in the states of data sets:
`{"epoch": 0, "packs": 24, "records": 90, "lanes": {"5": [3, {"2": [7, 9]}]}}`. A lane is `[blocks, held]`.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

import msgspec

from contract.errors import UserError
from trainer.plan.order import Address

Natural = Annotated[int, msgspec.Meta(ge=0)]
Record = TypeVar("Record", bound=msgspec.Struct)


class LanePosition(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far a lane is: the number of blocks that it has read, and which of their records are in no pack yet."""

    blocks: Natural
    held: dict[Natural, tuple[Natural, ...]]  # by block, the indices in it

    def __post_init__(self) -> None:
        """ValueError where a record is held of a block that was not read."""
        if late := [block for block in self.held if block >= self.blocks]:
            raise ValueError(f"Expected held records of blocks below {self.blocks}, got block {late[0]}")

    @staticmethod
    def of(blocks: int, held: Iterable[Address]) -> "LanePosition":
        """The position of a lane that holds the records at these addresses, which are in order."""
        by_block = groupby(held, key=lambda address: address.block)
        return LanePosition(blocks, {block: tuple(each.index for each in group) for block, group in by_block})

    @property
    def addresses(self) -> list[Address]:
        """The addresses of the held records, in order."""
        return [Address(block, index) for block, indices in self.held.items() for index in indices]


LANE_START: Final = LanePosition(0, {})


class Cursor(msgspec.Struct, frozen=True):
    """How far a run is, over all ranks."""

    epoch: Natural
    packs: Natural  # of this epoch, over all lanes, empty packs included
    records: Natural  # trained or skipped in this epoch
    lanes: dict[Natural, LanePosition]  # a lane that is missing is at LANE_START

    @staticmethod
    def start(epoch: int = 0) -> "Cursor":
        """The cursor before the first pack of an epoch."""
        return Cursor(epoch, 0, 0, {})

    def with_lanes(self, lanes: dict[int, LanePosition]) -> "Cursor":
        """This cursor with these lanes and no others, sorted as they are written."""
        return Cursor(self.epoch, self.packs, self.records, dict(sorted(lanes.items())))

    def after(self, positions: Sequence[Mapping[int, LanePosition]], *, packs_per_step: int, records: int) -> "Cursor":
        """The cursor after a step in which all ranks together took `records` records.

        `positions` are the lanes' positions after the step, one mapping for each rank that is known here.
        """
        lanes = {lane: position for of_rank in positions for lane, position in of_rank.items()}
        after = Cursor(self.epoch, self.packs + packs_per_step, self.records + records, {})
        return after.with_lanes(self.lanes | lanes)

    def to_json(self) -> dict[str, Any]:
        """The JSON of this cursor, as Python objects."""
        return to_json(self)

    @staticmethod
    def from_json(document: Any) -> "Cursor":
        """The cursor that `to_json` wrote; UserError names the first part that is wrong."""
        return parse(document, Cursor, name="cursor")


def to_json(record: msgspec.Struct) -> dict[str, Any]:
    """A record as JSON writes it: lists for tuples, texts for the numbers that name lanes."""
    return msgspec.json.decode(msgspec.json.encode(record))


def parse(document: Any, kind: type[Record], *, name: str) -> Record:
    """A record of this kind from its JSON; UserError names the first part that is wrong, by its path."""
    try:
        return msgspec.convert(document, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise UserError(f"{name}: {error}") from error


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], *, defaults: Mapping[str, Any] = MappingProxyType({})
) -> list[str]:
    """The settings that are not as they were, in words. A setting that `before` does not know had its default."""
    earlier = {**defaults, **before}
    return [f"{name} was {earlier.get(name)!r} and is {now[name]!r}" for name in now if earlier.get(name) != now[name]]
