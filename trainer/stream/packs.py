"""The stream of packs that a rank learns, in an order that does not depend on the number of ranks.

Every item comes with the place that resumes after it: the stream seeks there, it never replays.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final

from trainer.examples.encoder import Encoder, Example, Pack
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Address, Lane, Rank, Rows, num_lanes, plan_epoch, rows_of_epoch
from trainer.shards.cache import Cache
from trainer.shards.row_groups import RowGroups
from trainer.stream.cursor import Cursor, Place
from trainer.stream.lanes import LaneReader, announce_block
from trainer.stream.packing import choose

_AHEAD_TOKENS: Final = 8_192  # that are held beyond a pack, to choose from


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
