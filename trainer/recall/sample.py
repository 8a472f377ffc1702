"""Which records are asked: those that a run trained on, and those of val and test that it never saw.

A sample is a pure function of the run's seed and the records' keys, so a resumed run goes on with the same sample.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.examples.encoder import Record
from trainer.plan.data_sets import DataSet, first_rows
from trainer.plan.order import Lane, Stretch, num_lanes, plan_epoch, row_order, rows_of_epoch, units_of
from trainer.shards.cache import Cache
from trainer.shards.row_groups import DamagedShardError, RowGroups
from trainer.stream.cursor import LANE_START, Cursor
from trainer.stream.lanes import first_row, records_of

_LEAST_READ: Final = 4_000  # of which the sample is drawn: the same ones for all small samples
_READ_FOR_ONE: Final = 4

_row_order = lru_cache(maxsize=64)(row_order)  # the blocks of a lane read the same rows one after the other


def held_out(data: Sequence[DataSet]) -> tuple[DataSet, ...]:
    """The splits val and test of these data sets, whole."""
    return tuple(
        replace(each, split=split, limit=None, weight=Fraction(1)) for split in ("val", "test") for each in data
    )


def all_rows(data: Sequence[DataSet]) -> NDArray[np.bool_]:
    """True for every row of these data sets."""
    return np.ones(sum(each.manifest.num_rows(each.split) for each in data), np.bool_)


def trained_rows(data: Sequence[DataSet], *, max_length: int, seed: int, cursor: Cursor) -> NDArray[np.bool_]:
    """Of every row whether a run has trained it by this cursor; rows are numbered over all data sets."""
    sources = [each.rows for each in data]
    is_trained = np.zeros_like(all_rows(data))
    num_rows = rows_of_epoch(sources)
    for epoch in range(cursor.epoch):
        if num_rows == [each.num for each in sources]:  # an epoch takes all
            for first, num in zip(first_rows(data), num_rows, strict=True):
                is_trained[first : first + num] = True
            return is_trained
        for lane in _plan(data, max_length=max_length, seed=seed, epoch=epoch):
            for stretch in (each for part in lane.parts for each in part):
                is_trained[_rows(data, stretch, seed=seed)] = True
    for number, lane in enumerate(_plan(data, max_length=max_length, seed=seed, epoch=cursor.epoch)):
        position = cursor.lanes.get(number, LANE_START)
        for block in range(position.blocks):
            rows = [row for stretch in lane.block(block) for row in _rows(data, stretch, seed=seed)]
            held = position.held.get(block, ())
            is_trained[[row for index, row in enumerate(rows) if index not in held]] = True
    return is_trained


def sample(
    data: Sequence[DataSet], num: int, *, is_asked: NDArray[np.bool_], seed: int, cache: Cache | None = None
) -> list[Record]:
    """`num` records of the rows that may be asked, or all where there are fewer. A smaller sample begins a larger one.

    Shards are ordered by key, which is a hash. So a data set's first rows are as good as any, and no more are read than
    four for each record that is drawn, or 4,000. Records that cannot be read are left out.
    """
    per_set = [int(part.sum()) for part in np.split(is_asked, first_rows(data)[1:])]
    most = max(_LEAST_READ, _READ_FOR_ONE * num)
    read = (
        islice(iter_records(data, is_asked=is_asked, source=source, cache=cache), -(-most * of_set // sum(per_set)))
        for source, of_set in enumerate(per_set)
        if of_set
    )
    return heapq.nsmallest(num, chain.from_iterable(read), key=lambda record: _rank(record, seed))


def iter_records(
    data: Sequence[DataSet], *, is_asked: NDArray[np.bool_], source: int | None = None, cache: Cache | None = None
) -> Iterator[Record]:
    """The records of the rows that may be asked, of all data sets or one, in stored order; unreadable ones left out."""
    sources: Iterable[int] = range(len(data)) if source is None else (source,)
    with closing(RowGroups(data, cache)) as groups:
        for unit in (unit for number in sources for unit in units_of(data[number].rows, number)):
            rows = range(first := first_row(data, unit), first + unit.rows)
            if not is_asked[rows.start : rows.stop].any():
                continue
            try:
                table = groups.read(unit)
            except DamagedShardError:
                continue  # training reports it
            yield from (record for record in records_of(table, rows) if is_asked[record.row])


def _rank(record: Record, seed: int) -> bytes:
    """A number that orders the records at random, in another order for each seed."""
    return blake2b(record.key, digest_size=8, salt=seed.to_bytes(8, "little")).digest()


def _plan(data: Sequence[DataSet], *, max_length: int, seed: int, epoch: int) -> list[Lane]:
    sources = [each.rows for each in data]
    lanes = num_lanes(sum(rows_of_epoch(sources)), max_length=max_length)
    return plan_epoch(sources, lanes=lanes, seed=seed, epoch=epoch)


def _rows(data: Sequence[DataSet], stretch: Stretch, *, seed: int) -> list[int]:
    """The numbers of a stretch's rows, in the order of training."""
    first = first_row(data, stretch.unit)
    order = _row_order(stretch.unit, seed=seed, cycle=stretch.cycle)
    return [first + position for position in order[stretch.start : stretch.stop]]
