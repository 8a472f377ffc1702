"""DataLoader workers: which packs each of them makes, and what each copy of a data set knows.

**Turns.** Worker w of n makes the packs of a rank in turns: the first `batch_size` packs are worker 0's, the next ones
worker 1's, and so on. A DataLoader asks its workers for one batch each, in the same order, so packs arrive in the order
of the stream. Turns are counted from the pack at which the workers started (`first`).

**Lanes.** A worker reads the lanes that hold its packs. If ranks x batch_size x workers divides the number of lanes, no
lane is read by two workers. Otherwise two workers read and tokenize the same lane, and each gives only its own packs.

**The end.** Lanes end at different packs, so workers do too. A worker that has given its last record stops
(`PackPosition.is_last`), and the DataLoader leaves out its turns, in which there were only empty packs.

**Copies.** At the start of each epoch a DataLoader copies the data set into every worker. A copy knows only what
happened in its own process (`CopyState`):

- the user's copy moves by `trained`: workers read ahead, so packs that were read are not yet packs that were trained;
- a worker's copy moves by what it has yielded; torchdata's StatefulDataLoader asks each worker for its state;
- without workers there is one copy, which knows both; what was reported by `trained` counts.

Copies share a single bit, in shared memory: whether workers have read. By it the user's copy can refuse to give a state
that it does not know. All else travels with the packs, as their positions.

**Missing packs.** Every position names the pack that the same worker made before it (`follows`). Where workers share no
lanes, the user's copy also sees at once that another worker's pack was left out: that worker had not come to its end.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from contract.errors import UserError
from trainer.plan.order import Rank
from trainer.stream.cursor import LANE_START, Cursor, LanePosition
from trainer.stream.packs import StepPacks


@dataclass(frozen=True)
class Worker:
    """One of the processes that make a rank's packs in turns; by default the only one."""

    rank: Rank
    index: int = 0
    num_workers: int = 1
    batch_size: int = 1  # packs of a turn
    first: int = 0  # the pack from which turns are counted

    def owns(self, pack: int) -> bool:
        """Whether this worker makes pack number `pack` of the epoch."""
        return self.rank.owns(pack) and self.maker_of(pack) == self.index

    def maker_of(self, pack: int) -> int:
        """The index of the worker that makes this pack of the rank."""
        return (pack - self.first) // self.rank.world // self.batch_size % self.num_workers

    def lanes(self, num_lanes: int) -> set[int]:
        """The lanes that hold packs of this worker."""
        period = math.lcm(num_lanes, self._packs_of_a_round)
        packs = range(self.rank.first_pack(self.first), self.first + period, self.rank.world)
        return {pack % num_lanes for pack in packs if self.owns(pack)}

    def shares_lanes(self, num_lanes: int) -> bool:
        """Whether a lane may be read by several workers."""
        return num_lanes % self._packs_of_a_round > 0

    @property
    def _packs_of_a_round(self) -> int:
        return self.rank.world * self.num_workers * self.batch_size


@dataclass(frozen=True)
class PackPosition:
    """What a pack holds, and the positions after it of the lanes that it moved."""

    epoch: int
    pack: int  # its number in the epoch, over all ranks
    rows: tuple[int, ...] = ()  # the numbers of its records, over all data sets
    num_cut: int = 0  # of these, longer than the window
    num_skipped: int = 0  # damaged records that it would have held
    lanes: Mapping[int, LanePosition] = field(default_factory=dict)
    worker: Worker | None = None  # None for an empty pack that PackLoader filled in
    follows: int | None = None  # the pack that this worker made before it
    is_last: bool = False  # the worker's lanes hold no more records


def positions_of(
    steps: Iterator[StepPacks], cursor: Cursor, worker: Worker
) -> Iterator[tuple[StepPacks, PackPosition]]:
    """The steps that hold a pack of this worker, up to its last record, each with the position of that pack.

    Each step is one pack of every rank. Also an empty pack counts as a turn.
    """
    known, previous = dict(cursor.lanes), None
    numbers = itertools.count(worker.rank.first_pack(cursor.packs), worker.rank.world)
    for step, number in zip(steps, numbers, strict=False):
        moved = {lane: after for lane, after in step.positions.items() if after != known.get(lane, LANE_START)}
        if step.packs and (moved or not step.is_over):
            known |= moved
            examples = step.packs[0].examples
            yield (
                step,
                PackPosition(
                    epoch=cursor.epoch,
                    pack=number,
                    rows=tuple(example.row for example in examples),
                    num_cut=sum(example.num_cut > 0 for example in examples),
                    num_skipped=step.num_skipped,
                    lanes=moved,
                    worker=worker,
                    follows=previous,
                    is_last=step.is_over,
                ),
            )
            previous = number
        if step.is_over:
            return


@dataclass(frozen=True, kw_only=True)
class CopyState:
    """What one copy of a data set knows: the user's copy, or that of a worker."""

    rank: Rank
    batch_size: int
    num_lanes: int
    cursor: Cursor = field(default_factory=Cursor.start)  # after the last trained pack; an iteration starts here
    records_before: int = 0  # of the epoch, over all ranks, at the cursor that this rank was put to
    first_turn: int = 0  # the pack from which the next workers count their turns
    last_trained: Mapping[int, PackPosition] = field(default_factory=dict)  # by worker, since it was put there
    yielded: Cursor | None = None  # after the last pack that was yielded, since it was put there
    yielded_by: int | None = None  # the worker that yielded it; None in a process without workers
    is_reported: bool = False  # `trained` was called, so the cursor counts and not what was yielded

    def put_to(
        self, cursor: Cursor, *, records_before: int | None = None, first_turn: int | None = None
    ) -> "CopyState":
        """Moved to a cursor from outside: the start of an epoch, or a state that was loaded."""
        return replace(
            self,
            cursor=cursor,
            records_before=cursor.records if records_before is None else records_before,
            first_turn=cursor.packs if first_turn is None else first_turn,
            last_trained={},
            yielded=None,
            yielded_by=None,
        )

    def worker(self, index: int, *, num_workers: int) -> Worker:
        """One of the workers that read from here."""
        return Worker(self.rank, index, num_workers, self.batch_size, self.first_turn)

    def iterated(self, worker: int | None) -> "CopyState":
        """At the start of an iteration in this worker. UserError at its second one, which would repeat the epoch."""
        if worker is not None and self.yielded_by == worker:
            raise UserError("persistent_workers=True: workers do not get to know of the next epoch; leave it out")
        is_reported = self.is_reported and worker is None  # nobody reports to a worker
        return replace(self, yielded=self.cursor, yielded_by=worker, is_reported=is_reported)

    def after_yielding(self, position: PackPosition) -> "CopyState":
        """After this pack was given to whoever iterates."""
        if self.yielded is None:
            raise UserError("the data set was moved by set_epoch or load_state_dict: begin a new iteration")
        return replace(self, yielded=_after(self.yielded, position, world=self.rank.world))

    def after_training(self, positions: Sequence[PackPosition]) -> "CopyState":
        """After these packs were trained, in this order. UserError where packs are out of order or missing."""
        state = replace(self, is_reported=True)
        for position in positions:
            state = state._after_one(position)
        return replace(state, first_turn=state.cursor.packs)

    def to_resume(self, worker: int | None) -> Cursor:
        """The cursor for a state that is taken in this worker, or in a process without workers."""
        is_own = self.yielded_by == worker and not self.is_reported
        return self.yielded if self.yielded and is_own else self.cursor

    def _after_one(self, position: PackPosition) -> "CopyState":
        if position.epoch != self.cursor.epoch or position.pack < self.cursor.packs:
            raise UserError(
                f"pack {position.pack} of epoch {position.epoch} was trained, expected pack {self.cursor.packs} of"
                f" epoch {self.cursor.epoch} or a later one: call set_epoch before each epoch, and give PackDataset the"
                f" batch_size of its DataLoader (it has {self.batch_size})"
            )
        if (missing := self._missing_before(position)) is not None:
            raise UserError(
                f"pack {position.pack} was trained, but not pack {missing} before it: train every pack, and do not let"
                " accelerator.prepare divide the packs of one rank once more"
            )
        last = {position.worker.index: position} if position.worker else {}
        cursor = _after(self.cursor, position, world=self.rank.world)
        return replace(self, cursor=cursor, last_trained={**self.last_trained, **last})

    def _missing_before(self, position: PackPosition) -> int | None:
        """The first pack of this rank, from the cursor up to `position`, that should have been trained; or None.

        A worker that has trained nothing yet may have had nothing. Where workers share lanes, one may end in another's
        turn, so there only `follows` can tell.
        """
        if (worker := position.worker) is None:
            return None
        before = self.last_trained.get(worker.index)
        if position.follows not in (None, before and before.pack):
            return position.follows
        if worker.shares_lanes(self.num_lanes):
            return None
        for pack in range(self.rank.first_pack(self.cursor.packs), position.pack, self.rank.world):
            last = self.last_trained.get(worker.maker_of(pack))
            if last and not last.is_last:
                return pack
        return None


def _after(cursor: Cursor, position: PackPosition, *, world: int) -> Cursor:
    """The cursor after a pack of this rank, and the packs of all other ranks in the same round."""
    rounds = (position.pack - cursor.packs) // world + 1
    records = len(position.rows) + position.num_skipped
    lanes = furthest(cursor.lanes, position.lanes)
    return cursor.after([lanes], packs_per_step=rounds * world, records=records)


def furthest(lanes: Mapping[int, LanePosition], others: Mapping[int, LanePosition]) -> dict[int, LanePosition]:
    """Each lane at the later of two positions: several ranks and workers may read a lane, not all to its last pack."""
    both = dict(lanes)
    for lane, position in others.items():
        both[lane] = max(both.get(lane, LANE_START), position, key=lambda each: (each.blocks, -len(each.addresses)))
    return both
