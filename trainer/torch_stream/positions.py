"""Where the stream stands after each pack, for loops that learn pack by pack on several ranks, from several workers."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from contract.errors import UserError
from trainer.config import is_at_least
from trainer.plan.order import Rank, Worker
from trainer.stream.cursor import Cursor, Place, cursor_problems
from trainer.stream.packs import StepPacks


@dataclass(frozen=True)
class PackPlace:
    """What was in a pack, and where the lanes that moved stand after it."""

    epoch: int
    pack: int  # its number in the epoch, over all ranks
    rows: tuple[int, ...] = ()  # its records, counted over all data sets
    num_cut: int = 0  # of these, longer than the window
    num_skipped: int = 0  # records before it that could not be read
    lanes: Mapping[int, Place] = field(default_factory=dict)
    worker: Worker | None = None  # that made it, and the pack that it had made before, if any
    follows: int | None = None
    is_last: bool = False  # nothing is left in the lanes that the worker reads


def places_of(steps: Iterator[StepPacks], cursor: Cursor, rank: Rank) -> Iterator[tuple[StepPacks, PackPlace]]:
    """Those steps in which it is this rank's or worker's turn, up to its last record, each with its pack's place.

    A step is one pack of every rank, and one of a rank counts as its turn also where nothing is in it.
    """
    known, last = dict(cursor.lanes), None  # as the last pack's place said
    numbers = itertools.count(cursor.packs + (rank.index - cursor.packs) % rank.world, rank.world)
    for step, number in zip(steps, numbers, strict=False):
        moved = {lane: place for lane, place in step.places.items() if place != known.get(lane, Place())}
        if step.packs and (moved or not step.is_over):
            known |= moved
            examples = step.packs[0].examples
            yield (
                step,
                PackPlace(
                    epoch=cursor.epoch,
                    pack=number,
                    rows=tuple(example.row for example in examples),
                    num_cut=sum(example.num_cut > 0 for example in examples),
                    num_skipped=step.num_skipped,
                    lanes=moved,
                    worker=rank.worker,
                    follows=last,
                    is_last=step.is_over,
                ),
            )
            last = number
        if step.is_over:
            return


def after(cursor: Cursor, place: PackPlace, *, world: int) -> Cursor:
    """Behind the packs that all ranks take together with this one."""
    rounds = (place.pack - cursor.packs) // world + 1
    return Cursor(
        cursor.epoch,
        cursor.packs + rounds * world,
        cursor.records + len(place.rows) + place.num_skipped,
        _further(cursor.lanes, place.lanes),
    )


def passed_over(
    place: PackPlace, first: int, last_of: Mapping[int, PackPlace], *, rank: Rank, num_lanes: int
) -> int | None:
    """The pack that should have been learnt before this one, if one was left out of those from `first` on.

    `last_of` are the packs that were learnt last, by worker. A DataLoader leaves out a worker that has come to its end,
    and its empty packs with it. So a worker that has nothing learnt yet may have had nothing, and where workers share
    lanes, one may end in another's turn: what is left out there is found by what follows it.
    """
    if (worker := place.worker) is None:
        return None
    before = last_of.get(worker.index)
    if place.follows not in (None, before and before.pack):
        return place.follows
    if num_lanes % (rank.world * worker.num * worker.batch):
        return None
    for pack in range(first + (rank.index - first) % rank.world, place.pack, rank.world):
        for index, last in last_of.items():
            if not last.is_last and replace(rank, worker=replace(worker, index=index)).owns(pack):
                return pack
    return None


@dataclass(frozen=True)
class State:
    """Where a rank stands, or one worker of it, and what that is a place of."""

    identity: Mapping[str, Any]
    cursor: Cursor
    records_before: int  # of the epoch, over all ranks, when this rank was put where it went on from
    rank: Sequence[int]  # its number, of how many
    worker: Sequence[int] | None = None  # its number, of how many, the pack from which turns are counted

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and texts."""
        return {"format": _FORMAT, **vars(self), "cursor": self.cursor.to_json()}

    @staticmethod
    def from_json(document: Any) -> "State":
        """The state that `to_json` wrote; UserError names every key that is missing, unknown or of no such value."""
        if not isinstance(document, Mapping):
            raise UserError(f"a state of the stream is {document!r:.60}, expected the object that state_dict() gave")
        if document.get("format") != _FORMAT:
            raise UserError(
                f"a state of the stream has format {document.get('format')!r}, expected {_FORMAT}: it is of another"
                " version, or not what state_dict() gave"
            )
        problems = [f"{name} is missing" for name in _KEYS if name not in document]
        problems += [f"{name} is unknown" for name in document if name not in ("format", *_KEYS)]
        problems += [
            f"{name} = {document[name]!r:.60}, expected {expected}"
            for name, (expected, is_right) in _KEYS.items()
            if name in document and not is_right(document[name])
        ]
        problems += cursor_problems(document["cursor"]) if "cursor" in document else []
        if problems:
            raise UserError(f"a state of the stream is not what state_dict() gave: {'; '.join(problems)}")
        cursor = Cursor.from_json(document["cursor"])
        return State(**{name: document[name] for name in _KEYS} | {"cursor": cursor})


def _is_one_of(value: Any, *, length: int) -> bool:
    """Whether it is a list of so many whole numbers, the first of which counts up to the second."""
    is_list = isinstance(value, list | tuple) and len(value) == length and all(is_at_least(0, each) for each in value)
    return is_list and value[0] < value[1]


_FORMAT: Final = 1
_KEYS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "identity": ("an object", lambda value: isinstance(value, Mapping)),
    "cursor": ("an object", lambda _: True),  # looked at by itself
    "records_before": ("an integer of at least 0", lambda value: is_at_least(0, value)),
    "rank": ("[rank, ranks]", lambda value: _is_one_of(value, length=2)),
    "worker": ("null or [worker, workers, pack]", lambda value: value is None or _is_one_of(value, length=3)),
}


def merge_states(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The states of all ranks after the same step, as one that any number of ranks can go on from."""
    ranks = [State.from_json(state) for state in states]
    places = {(state.cursor.epoch, state.cursor.packs) for state in ranks}
    found, whole = sorted(list(state.rank) for state in ranks), [[rank, len(ranks)] for rank in range(len(ranks))]
    is_one_run = all(
        (state.identity, state.records_before) == (ranks[0].identity, ranks[0].records_before) for state in ranks
    )
    if not ranks or found != whole or len(places) > 1 or not is_one_run or ranks[0].worker:
        raise UserError(
            f"states of [rank, ranks] {found} at [epoch, pack] {sorted(places)}, expected those of all ranks of one run"
            " after the same step"
        )
    before = ranks[0].records_before
    lanes: dict[int, Place] = {}
    for state in ranks:
        lanes = _further(lanes, state.cursor.lanes)
    records = before + sum(state.cursor.records - before for state in ranks)
    cursor = replace(ranks[0].cursor, records=records, lanes=lanes)
    return replace(ranks[0], cursor=cursor, records_before=records, rank=[0, 1]).to_json()


def _further(lanes: Mapping[int, Place], others: Mapping[int, Place]) -> dict[int, Place]:
    """Each lane where it is further: several ranks and workers may read a lane, and not all have seen its last pack."""
    both = dict(lanes)
    for lane, place in others.items():
        both[lane] = max(both.get(lane, Place()), place, key=lambda each: (each.blocks, -len(each.held)))
    return both
