"""Which records a run is asked about, and where each of them stands in the catalogue."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from contract.columns import ROW_GROUP_ROWS, UID
from trainer.evaluation.schema import Kind, Source
from trainer.examples.encoder import Record
from trainer.parts.manifest import TrainedRun, trained_runs
from trainer.plan.data_sets import DataSet, first_rows, reopen_data
from trainer.plan.order import Unit, num_lanes, rows_of_epoch
from trainer.recall.same_text import has_trained_text
from trainer.recall.sample import all_rows
from trainer.runs.folder import read_info
from trainer.shards.row_groups import RowGroups
from trainer.stream.lanes import first_records, trained_records

Item = TypeVar("Item")


@dataclass(frozen=True)
class Asked:
    """A record that is asked about."""

    kind: Kind
    record: Record
    source: Source


def asked_records(run: Path, *, data: Sequence[str] | None, seen: int, unseen: int) -> list[Asked]:
    """Up to so many records that the run was trained on, then up to so many of its val and test splits.

    Of a run in parts they come from each part in turn. UserError where the data sets are not those of the run.
    """
    of_runs = [_of_run(each, seen=seen, unseen=unseen) for each in trained_runs(run, data=data)]
    return [
        *in_turn([seen_ones for seen_ones, _ in of_runs], seen),
        *in_turn([unseen_ones for _, unseen_ones in of_runs], unseen),
    ]


def with_trained_text(run: Path, records: Sequence[Record], *, data: Sequence[str] | None) -> list[bool]:
    """Of each of these records whether exactly its text is among those to train. Reads all of them."""
    sets = [
        data_set
        for each in trained_runs(run, data=data)
        for info in [read_info(each.folder)]
        for data_set in reopen_data(each.data, config=info.config, dataset_ids=info.dataset_ids)
    ]
    is_trained = ~all_rows(sets)
    for first, data_set in zip(first_rows(sets), sets, strict=True):
        is_trained[first : first + data_set.rows.num] = True  # up to the run's limit
    return has_trained_text(records, sets, is_trained=is_trained).tolist()


def in_turn(lists: Sequence[Sequence[Item]], num: int) -> list[Item]:
    """The first `num` items, one of each list in turn; a list that is over has no more turns.

    >>> in_turn(["ab", "cde", "f"], 5)
    ['a', 'c', 'f', 'b', 'd']
    """
    longest = max(map(len, lists))
    return [each[turn] for turn in range(longest) for each in lists if turn < len(each)][:num]


def _of_run(run: TrainedRun, *, seen: int, unseen: int) -> tuple[list[Asked], list[Asked]]:
    info = read_info(run.folder)
    data = reopen_data(run.data, config=info.config, dataset_ids=info.dataset_ids)
    others = [replace(data_set, split=split) for split in ("val", "test") for data_set in data]
    return (
        _with_sources(data, _seen(data, seen, info.config), kind="seen"),
        _with_sources(others, first_records(others, unseen), kind="unseen"),
    )


def _seen(data: Sequence[DataSet], limit: int, settings: Mapping[str, Any]) -> list[Record]:
    num_records = sum(rows_of_epoch([data_set.rows for data_set in data]))
    lanes = num_lanes(num_records, max_length=settings["max_length"])
    return trained_records(data, limit, lanes=lanes, seed=settings["seed"])


def _with_sources(data: Sequence[DataSet], records: Sequence[Record], *, kind: Kind) -> list[Asked]:
    with closing(RowGroups(data, columns=(UID,))) as groups:
        read = lru_cache(maxsize=64)(groups.read)  # records of one row group follow each other
        return [Asked(kind, record, _source(data, record.row, read)) for record in records]


def _source(data: Sequence[DataSet], number: int, read: Callable[[Unit], pa.Table]) -> Source:
    """The source of the row with this number, which counts the rows of these splits."""
    firsts = first_rows(data)
    of = bisect_right(firsts, number) - 1
    shards = data[of].manifest.splits[data[of].split]
    starts = list(accumulate((shard.rows for shard in shards), initial=firsts[of]))
    shard = bisect_right(starts, number) - 1
    row = number - starts[shard]
    first = row - row % ROW_GROUP_ROWS
    uids = read(Unit(of, shard, first, min(ROW_GROUP_ROWS, shards[shard].rows - first)))[UID]
    return Source(uids[row - first].as_py(), data[of].root, shards[shard].path, row)
