"""Where the stream stands after each pack, for loops that learn pack by pack on several ranks, from several workers."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contract.errors import UserError
from trainer.plan import Rank
from trainer.stream import Cursor, Place, StepPacks


@dataclass(frozen=True)
class PackPlace:
    """What was in a pack, and where the lanes that moved stand after it."""

    epoch: int
    pack: int  # its number in the epoch, over all ranks
    rows: tuple[int, ...] = ()  # its records, counted over all data sets
    num_cut: int = 0  # of these, longer than the window
    num_skipped: int = 0  # records before it that could not be read
    lanes: Mapping[int, Place] = field(default_factory=dict)
    worker: int | None = None  # that made it, and the pack that it had made before, if any
    follows: int | None = None


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
                    worker=rank.worker.index,
                    follows=last,
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


def merge_states(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The states of all ranks after the same step, as one that any number of ranks can go on from."""
    cursors = [Cursor.from_json(state["cursor"]) for state in states]
    first, places = states[0], {(cursor.epoch, cursor.packs) for cursor in cursors}
    found, whole = sorted(state["rank"] for state in states), [[rank, len(states)] for rank in range(len(states))]
    is_one_run = all(state[name] == first[name] for state in states for name in ("identity", "records_before"))
    if found != whole or len(places) > 1 or not is_one_run or first["worker"]:
        raise UserError(
            f"states of [rank, ranks] {found} at [epoch, pack] {sorted(places)}, expected those of all ranks of one run"
            " after the same step"
        )
    before = first["records_before"]
    lanes: dict[int, Place] = {}
    for cursor in cursors:
        lanes = _further(lanes, cursor.lanes)
    records = before + sum(cursor.records - before for cursor in cursors)
    cursor = replace(cursors[0], records=records, lanes=lanes)
    return {**first, "cursor": cursor.to_json(), "records_before": records, "rank": [0, 1]}


def _further(lanes: Mapping[int, Place], others: Mapping[int, Place]) -> dict[int, Place]:
    """Each lane where it is further: several ranks and workers may read a lane, and not all have seen its last pack."""
    both = dict(lanes)
    for lane, place in others.items():
        both[lane] = max(both.get(lane, Place()), place, key=lambda each: (each.blocks, -len(each.held)))
    return both
