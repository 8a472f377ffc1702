"""The data sets that a run is trained on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from typing import Any

from contract.errors import UserError
from contract.manifest import Manifest, read_manifest
from trainer.config import is_at_least, parse_data
from trainer.plan.order import RowRange, rows_of_epoch


@dataclass(frozen=True)
class DataSet:
    """One split of a published data set."""

    root: str
    manifest: Manifest
    split: str = "train"
    weight: Fraction = Fraction(1)
    limit: int | None = None

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError with all discrepancies at once."""
        self.manifest.num_rows(self.split)  # raises where there is no such split
        problems = []
        if not isinstance(self.weight, Fraction) or self.weight <= 0:
            problems.append(f"weight = {self.weight!r}, expected a positive Fraction")
        if self.limit is not None and not is_at_least(1, self.limit):
            problems.append(f"limit = {self.limit!r}, expected None or an integer of at least 1")
        if problems:
            raise UserError(f"data set {self.root}: {'; '.join(problems)}")

    @property
    def rows(self) -> RowRange:
        """The rows of the split that may be trained, for the plan."""
        return RowRange(tuple(shard.rows for shard in self.manifest.splits[self.split]), self.limit, self.weight)


def open_data(texts: Iterable[str], *, split: str = "train", limit: int | None = None) -> tuple[DataSet, ...]:
    """The data sets that `FOLDER` or `FOLDER:WEIGHT` name.

    UserError where a data set is missing, is named twice, has no records in this split, was cleaned by another text
    profile than the first one, or has so small a weight that an epoch takes none of its records.
    """
    data: list[DataSet] = []
    if isinstance(texts, str):
        raise UserError(f"data = {texts!r}, expected a list of folders")
    for root, weight in map(parse_data, texts):
        manifest = read_manifest(root)
        data_set = DataSet(root, manifest, split, weight, limit)
        if not manifest.num_rows(split):
            raise UserError(f"the {split} split of {root} is empty: there is nothing to train on")
        if any(manifest.dataset_id == other.manifest.dataset_id for other in data):
            raise UserError(
                f"data: {root} holds the same data set as another folder that was named; raise its weight instead"
            )
        if data and manifest.text_profile != data[0].manifest.text_profile:
            raise UserError(
                f"{root} was cleaned by profile {manifest.text_profile!r}, {data[0].root} by"
                f" {data[0].manifest.text_profile!r}: a question can be cleaned by one profile only"
            )
        data.append(data_set)
    if not data:
        raise UserError("data: expected at least one folder of a prepared data set")
    num_rows = rows_of_epoch([data_set.rows for data_set in data])
    unused = [data_set.root for data_set, num in zip(data, num_rows, strict=True) if not num]
    if unused:
        raise UserError(
            f"data: with these weights an epoch takes no record of {', '.join(unused)}; raise their weights"
        )
    return tuple(data)


def reopen_data(
    texts: Sequence[str] | None, *, config: Mapping[str, Any], dataset_ids: Sequence[str]
) -> tuple[DataSet, ...]:
    """The data sets of a run with these settings, where they were then or at other paths; UserError if they differ."""
    data = open_data(texts or config["data"], limit=config["limit"])
    ids = [data_set.manifest.dataset_id for data_set in data]
    if ids != list(dataset_ids):
        raise UserError(
            f"{', '.join(each.root for each in data)}: data set {', '.join(ids)}, but this run was trained on"
            f" {', '.join(dataset_ids)}; give the path of that data set with --data"
        )
    weights = [parse_data(text)[1] for text in config["data"]]
    return tuple(replace(each, weight=weight) for each, weight in zip(data, weights, strict=True))


def first_rows(data: Sequence[DataSet]) -> list[int]:
    """The number of each data set's first row. Numbers count the rows of all data sets, those beyond a limit too."""
    return list(accumulate((data_set.manifest.num_rows(data_set.split) for data_set in data), initial=0))[:-1]
