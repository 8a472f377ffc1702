"""The packs that a rank trains on, in an order that does not depend on the number of ranks.

Every step comes with the positions of the lanes after it. To resume, the stream seeks there; it never replays.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, Final

from contract.errors import UserError
from trainer.config import is_at_least
from trainer.examples.encoder import Encoder, Example, Pack
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Address, Lane, Rank, RowRange, Share, num_lanes, plan_epoch, rows_of_epoch
from trainer.shards.cache import Cache
from trainer.shards.row_groups import RowGroups
from trainer.stream.cursor import LANE_START, Cursor, LanePosition
from trainer.stream.lanes import LaneReader, announce_block
from trainer.stream.packing import choose

_AHEAD_TOKENS: Final = 8_192  # held beyond those of one pack, to choose from


@dataclass(frozen=True)
class StepPacks:
    """One rank's packs of a step, and the positions of its lanes after it."""

    packs: tuple[Pack, ...]
    positions: Mapping[int, LanePosition]
    num_skipped: int = 0  # damaged records that these packs would have held
    is_over: bool = False  # its lanes hold no more records

    @property
    def num_records(self) -> int:
        """Records that this rank trains on or skips."""
        return sum(len(pack.examples) for pack in self.packs) + self.num_skipped


@dataclass(frozen=True)
class PackStream:
    """Packs of one or several data sets, for one rank; UserError where a field is out of range."""

    data: tuple[DataSet, ...]
    encoder: Encoder
    rank: Rank
    packs_per_step: int = 1  # over all ranks
    seed: int = 0
    skip_damaged: bool = False
    cache: Cache | None = None

    def __post_init__(self) -> None:
        """UserError names every field that is out of range."""
        problems = []
        if not self.data or not all(isinstance(each, DataSet) for each in self.data):
            problems.append(f"data = {self.data!r:.60}, expected what trainer.plan.data_sets.open_data gives")
        if not is_at_least(0, self.seed) or self.seed >= 2**63:
            problems.append(f"seed = {self.seed!r}, expected an integer from 0 to below 2^63")
        if not 0 <= self.rank.index < self.rank.world:
            problems.append(f"rank = {self.rank.index} of {self.rank.world}, expected one from 0 to below their number")
        if problems:
            raise UserError("; ".join(problems))

    @property
    def num_records(self) -> int:
        """Records of one epoch, over all ranks."""
        return sum(rows_of_epoch(self._rows))

    def identity(self) -> dict[str, Any]:
        """What the packs and their order depend on. A cursor is only right for a stream of the same identity."""
        all_weights = sum(each.weight for each in self.data)
        return self.encoder.identity | {
            "data sets": [each.manifest.dataset_id for each in self.data],
            "splits": [each.split for each in self.data],
            "weights": [str(each.weight / all_weights) for each in self.data],
            "limits": [each.limit for each in self.data],
            "max_length": self.encoder.max_length,
            "packs_per_step": self.packs_per_step,
            "seed": self.seed,
        }

    def identity_by_default(self) -> dict[str, Any]:
        """The part of `identity` that follows from settings with a default, for a stream with these defaults."""
        num = len(self.data)
        defaults = {"splits": [DataSet.split] * num, "weights": [str(Fraction(1, num))] * num}
        return defaults | {"limits": [DataSet.limit] * num, "seed": PackStream.seed}

    @property
    def num_lanes(self) -> int:
        """Lanes of an epoch, over all ranks."""
        return num_lanes(self.num_records, max_length=self.encoder.max_length)

    @property
    def _rows(self) -> list[RowRange]:
        return [data_set.rows for data_set in self.data]

    def own(self, cursor: Cursor) -> Cursor:
        """The cursor with the lanes of this rank alone, which no other rank moves."""
        lanes = self.rank.lanes(self.num_lanes)
        return cursor.with_lanes({lane: position for lane, position in cursor.lanes.items() if lane in lanes})

    def epoch(self, cursor: Cursor, *, share: Share | None = None) -> Generator[StepPacks, None, None]:
        """The steps of the cursor's epoch, from the cursor on: all packs of this rank, or only those of `share`.

        There is no last step: packs after the last record are empty. Ranks find the end by counting: an epoch is over
        when all of them together have trained or skipped its records. Threads read ahead; they end when this generator
        is closed.
        """
        with closing(RowGroups(self.data, self.cache)) as groups:
            yield from self._steps(cursor, share or self.rank, groups)

    def _steps(self, cursor: Cursor, share: Share, groups: RowGroups) -> Iterator[StepPacks]:
        lanes = self.num_lanes
        plans = plan_epoch(self._rows, lanes=lanes, seed=self.seed, epoch=cursor.epoch)
        positions = {lane: cursor.lanes.get(lane, LANE_START) for lane in sorted(share.lanes(lanes))}
        for lane, position in positions.items():
            announce_block(groups, plans[lane], min(position.held, default=position.blocks))
        streams = {
            lane: self._lane(plans[lane], position, groups, epoch=cursor.epoch) for lane, position in positions.items()
        }
        first = cursor.packs
        while True:
            mine, num_skipped = [], 0
            for number in range(first, first + self.packs_per_step):
                lane = number % lanes
                if lane not in streams:
                    continue
                pack, skipped, positions[lane] = next(streams[lane], (Pack(()), 0, positions[lane]))
                if share.owns(number):
                    mine.append(pack)
                    num_skipped += skipped
            is_over = all(position == LanePosition(plans[lane].num_blocks, {}) for lane, position in positions.items())
            yield StepPacks(tuple(mine), dict(positions), num_skipped, is_over)
            first += self.packs_per_step

    def _lane(
        self, lane: Lane, position: LanePosition, groups: RowGroups, *, epoch: int
    ) -> Iterator[tuple[Pack, int, LanePosition]]:
        """The lane's packs from a position on; with each, the damaged records before it, and the position after it."""
        reader = LaneReader(groups, lane, seed=self.seed, skip_damaged=self.skip_damaged)
        encoded = partial(self._encoded, reader, epoch=epoch)
        addresses = position.addresses
        block, held = position.blocks, encoded(addresses)
        num_tokens = sum(len(example.ids) for _, example in held)
        num_skipped = len(addresses) - len(held)  # damaged since the position was saved
        max_length = self.encoder.max_length
        enough = max_length + max(_AHEAD_TOKENS, max_length // 2)
        while True:
            while num_tokens < enough and block < lane.num_blocks:
                wanted = lane.addresses(block)
                found = encoded(wanted)
                num_tokens += sum(len(example.ids) for _, example in found)
                num_skipped += len(wanted) - len(found)
                held += found
                block += 1
            if not held and not num_skipped:
                return
            chosen = set(choose((len(example.ids) for _, example in held), max_length=max_length)) if held else ()
            pack = Pack(tuple(held[index][1] for index in sorted(chosen)))
            held = [each for index, each in enumerate(held) if index not in chosen]
            num_tokens -= pack.num_tokens
            yield pack, num_skipped, LanePosition.of(block, (address for address, _ in held))
            num_skipped = 0

    def _encoded(
        self, reader: LaneReader, addresses: Sequence[Address], *, epoch: int
    ) -> list[tuple[Address, Example]]:
        """The examples at these addresses, without those whose records are damaged."""
        records = reader.read(addresses)
        return list(zip(records, self.encoder.encode(list(records.values()), epoch=epoch), strict=True))
