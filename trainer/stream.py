"""The stream of packs that a rank learns, in an order that does not depend on the number of ranks.

Every item comes with the place that resumes after it: the stream seeks there, it never replays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contract.manifest import Manifest
from trainer.examples import Encoder, Pack, pack
from trainer.plan import Rank, num_lanes, plan_lane, units_of, windows
from trainer.shards import ShardReader

EMPTY_PACK = Pack(())


@dataclass(frozen=True)
class Place:
    """Where a lane stands: packs already taken from a window. After its last window, that window and all its packs."""

    window: int = 0
    packs: int = 0


@dataclass(frozen=True)
class Cursor:
    """Where a run stands, over all ranks: enough to go on with any number of them."""

    epoch: int = 0
    packs: int = 0  # of this epoch, over all lanes, empty ones included
    records: int = 0  # learnt in this epoch
    lanes: Mapping[int, Place] = field(default_factory=dict)  # a lane that is not named stands at its start

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a checkpoint."""
        lanes = {str(lane): [place.window, place.packs] for lane, place in sorted(self.lanes.items())}
        return {"epoch": self.epoch, "packs": self.packs, "records": self.records, "lanes": lanes}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Cursor":
        """The cursor that `to_json` wrote."""
        lanes = {int(lane): Place(*place) for lane, place in document["lanes"].items()}
        return Cursor(document["epoch"], document["packs"], document["records"], lanes)


@dataclass(frozen=True)
class StepPacks:
    """This rank's packs of one step, and where its lanes stand after it."""

    packs: tuple[Pack, ...]
    places: Mapping[int, Place]


@dataclass(frozen=True)
class PackStream:
    """Packs of one split of a data set, for one rank."""

    root: str
    manifest: Manifest
    encoder: Encoder
    rank: Rank
    max_length: int
    packs_per_step: int
    seed: int = 0
    split: str = "train"
    limit: int | None = None

    @property
    def num_records(self) -> int:
        """Records of one epoch, over all ranks."""
        rows = self.manifest.num_rows(self.split)
        return rows if self.limit is None else min(rows, self.limit)

    def epoch(self, cursor: Cursor) -> Iterator[StepPacks]:
        """The steps of the cursor's epoch from the cursor on, without end: after the last record come empty packs.

        Ranks agree on the end by counting: when the records learnt by all of them make up the epoch.
        """
        lanes = num_lanes(self.num_records)
        places = {lane: cursor.lanes.get(lane, Place()) for lane in self.rank.lanes(lanes)}
        streams = {lane: self._lane(lane, lanes, cursor.epoch, place) for lane, place in places.items()}
        first = cursor.packs
        while True:
            mine = []
            for number in range(first, first + self.packs_per_step):
                lane = number % lanes
                if lane not in streams:
                    continue
                item, places[lane] = next(streams[lane], (EMPTY_PACK, places[lane]))
                if self.rank.owns(number):
                    mine.append(item)
            yield StepPacks(tuple(mine), dict(places))
            first += self.packs_per_step

    def _lane(self, lane: int, lanes: int, epoch: int, place: Place) -> Iterator[tuple[Pack, Place]]:
        units = units_of(self.manifest.splits[self.split], limit=self.limit)
        stretches = plan_lane(units, lane=lane, lanes=lanes, seed=self.seed, epoch=epoch)
        reader = ShardReader(self.root, self.manifest, self.split, self.seed)
        rows = window_rows(self.max_length)
        for number, window in enumerate(windows(stretches, window_rows=rows, first=place.window), start=place.window):
            packs = pack(self.encoder.encode(reader.read(window, epoch=epoch)), max_length=self.max_length)
            done = place.packs if number == place.window else 0
            for index, item in enumerate(packs[done:], start=done + 1):
                yield item, Place(number, index)


def window_rows(max_length: int) -> int:
    """Records that are packed together: enough for about 50 packs of descriptions, so that few tokens stay unused."""
    return max(512, max_length // 4)


def merge_places(places: Sequence[Mapping[int, Place]]) -> dict[int, Place]:
    """All lanes' places from those of every rank."""
    return {lane: place for rank in places for lane, place in rank.items()}
