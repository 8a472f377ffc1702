"""The stream of packs that a rank learns, in an order that does not depend on the number of ranks.

Every item comes with the place that resumes after it: the stream seeks there, it never replays.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final

from contract.errors import UserError
from trainer.cache import Cache
from trainer.config import is_at_least
from trainer.data import DataSet
from trainer.examples import Encoder, Example, Pack
from trainer.packing import choose
from trainer.plan import Address, Lane, Rank, Rows, num_lanes, plan_epoch, rows_of_epoch
from trainer.row_groups import RowGroups
from trainer.shards import LaneReader, announce_block

_AHEAD_TOKENS: Final = 8_192  # that are held beyond a pack, to choose from


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

    def after(self, steps: Sequence["StepPacks"], *, packs_per_step: int, records: int) -> "Cursor":
        """The cursor after a step: what some or all ranks took of it, and the records that all of them did."""
        lanes = {lane: place for step in steps for lane, place in step.places.items()}
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


@dataclass(frozen=True)
class StepPacks:
    """This rank's packs of one step, what could not be read before them, and where its lanes stand after it."""

    packs: tuple[Pack, ...]
    places: Mapping[int, Place]
    num_skipped: int = 0
    is_over: bool = False  # none of its lanes has anything left

    @property
    def num_records(self) -> int:
        """Records that this rank learns or skips."""
        return sum(len(pack.examples) for pack in self.packs) + self.num_skipped


@dataclass(frozen=True)
class PackStream:
    """Packs of one or several data sets, for one rank."""

    data: tuple[DataSet, ...]
    encoder: Encoder
    rank: Rank
    max_length: int
    packs_per_step: int
    seed: int = 0
    skip_damaged: bool = False
    cache: Cache | None = None

    @property
    def num_records(self) -> int:
        """Records of one epoch, over all ranks."""
        return sum(rows_of_epoch(self._rows))

    def identity(self) -> dict[str, Any]:
        """What decides on the packs and their order, and so must not change between a cursor and its use."""
        all_weights = sum(each.weight for each in self.data)
        return self.encoder.identity | {
            "data sets": [each.manifest.dataset_id for each in self.data],
            "splits": [each.split for each in self.data],
            "weights": [str(each.weight / all_weights) for each in self.data],
            "limits": [each.limit for each in self.data],
            "max_length": self.max_length,
            "packs_per_step": self.packs_per_step,
            "seed": self.seed,
        }

    @property
    def num_lanes(self) -> int:
        """Lanes of an epoch, over all ranks."""
        return num_lanes(self.num_records, max_length=self.max_length)

    @property
    def _rows(self) -> list[Rows]:
        return [data_set.rows for data_set in self.data]

    def own(self, cursor: Cursor) -> Cursor:
        """What of a cursor this rank goes on from, and alone may change."""
        lanes = self.rank.lanes(self.num_lanes)
        return replace(cursor, lanes={lane: place for lane, place in cursor.lanes.items() if lane in lanes})

    def epoch(self, cursor: Cursor) -> Generator[StepPacks, None, None]:
        """The steps of the cursor's epoch from the cursor on, without end: after the last record come empty packs.

        Ranks agree on the end by counting: when the records learnt by all of them make up the epoch. It reads ahead in
        threads, which end when it is closed.
        """
        with closing(RowGroups(self.data, self.cache)) as groups:
            yield from self._steps(cursor, groups)

    def _steps(self, cursor: Cursor, groups: RowGroups) -> Iterator[StepPacks]:
        lanes = self.num_lanes
        plans = plan_epoch(self._rows, lanes=lanes, seed=self.seed, epoch=cursor.epoch)
        places = {lane: cursor.lanes.get(lane, Place()) for lane in sorted(self.rank.lanes(lanes))}
        for lane, place in places.items():
            announce_block(groups, plans[lane], min((address.block for address in place.held), default=place.blocks))
        streams = {lane: self._lane(plans[lane], place, groups) for lane, place in places.items()}
        first = cursor.packs
        while True:
            mine, num_skipped = [], 0
            for number in range(first, first + self.packs_per_step):
                lane = number % lanes
                if lane not in streams:
                    continue
                pack, skipped, places[lane] = next(streams[lane], (Pack(()), 0, places[lane]))
                if self.rank.owns(number):
                    mine.append(pack)
                    num_skipped += skipped
            is_over = all(place == Place(plans[lane].num_blocks) for lane, place in places.items())
            yield StepPacks(tuple(mine), dict(places), num_skipped, is_over)
            first += self.packs_per_step

    def _lane(self, lane: Lane, place: Place, groups: RowGroups) -> Iterator[tuple[Pack, int, Place]]:
        """The lane's packs from a place on, the records skipped before each, and the place after it."""
        reader = LaneReader(groups, lane, seed=self.seed, skip_damaged=self.skip_damaged)
        block, held = place.blocks, self._encoded(reader, place.held)
        num_tokens = sum(len(example.ids) for _, example in held)
        num_skipped = len(place.held) - len(held)  # that could be read when they were taken up
        enough = self.max_length + max(_AHEAD_TOKENS, self.max_length // 2)
        while True:
            while num_tokens < enough and block < lane.num_blocks:
                wanted = lane.addresses(block)
                found = self._encoded(reader, wanted)
                num_tokens += sum(len(example.ids) for _, example in found)
                num_skipped += len(wanted) - len(found)
                held += found
                block += 1
            if not held and not num_skipped:
                return
            chosen = set(choose((len(example.ids) for _, example in held), max_length=self.max_length)) if held else ()
            pack = Pack(tuple(held[index][1] for index in sorted(chosen)))
            held = [each for index, each in enumerate(held) if index not in chosen]
            num_tokens -= pack.num_tokens
            yield pack, num_skipped, Place(block, tuple(address for address, _ in held))
            num_skipped = 0

    def _encoded(self, reader: LaneReader, addresses: Sequence[Address]) -> list[tuple[Address, Example]]:
        """The examples at these addresses, without those whose records are damaged."""
        records = reader.read(addresses)
        return list(zip(records, self.encoder.encode(list(records.values())), strict=True))
