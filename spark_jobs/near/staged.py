"""Staged records by number, and what is staged in their place when some of them are dropped.

Records are numbered as the shards will hold them: by split, then by key. So a number does not tell of buckets.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from contract.columns import KEY, REJECTED, SPLITS
from contract.reasons import REASON_CODE
from spark_jobs.shards import (
    OPEN_SCHEMAS,
    SCHEMAS,
    Slice,
    StagedBucket,
    StagedFile,
    read_slices,
    rejected_table,
    write_staged,
)

NEAR_DUPLICATE: Final = "near_duplicate"


@dataclass(frozen=True)
class NumberedFile:
    """The staged records of one split of a bucket."""

    split: str
    staged: StagedFile
    first: int  # number of its first record; the others follow

    def numbers(self) -> np.ndarray:
        return np.arange(self.first, self.first + self.staged.num_rows)

    def places(self, numbers: np.ndarray) -> slice:
        """Which of these ascending numbers are of records in this file."""
        return slice(*np.searchsorted(numbers, [self.first, self.first + self.staged.num_rows]))


@dataclass(frozen=True)
class NumberedBucket:
    """The staged files of one bucket."""

    bucket: int
    files: list[NumberedFile]
    rejected: StagedFile | None


class Survivors(msgspec.Struct, frozen=True):
    """What is left of one bucket."""

    bucket: int
    files: dict[str, StagedFile]  # by section, as in StagedBucket
    num_dropped: int


def number_records(buckets: Sequence[StagedBucket]) -> list[NumberedBucket]:
    """The buckets in order, their records numbered."""
    in_order = sorted(buckets, key=lambda bucket: bucket.bucket)
    numbered = [NumberedBucket(bucket.bucket, [], bucket.files.get(REJECTED)) for bucket in in_order]
    number = 0
    for split in SPLITS:
        for bucket, found in zip(in_order, numbered, strict=True):
            if staged := bucket.files.get(split):
                found.files.append(NumberedFile(split, staged, first=number))
                number += staged.num_rows
    return numbered


def read_staged(file: StagedFile, staging: str) -> pa.Table:
    """All rows of a staged file."""
    return pa.Table.from_batches(read_slices([Slice(file.name, 0, file.num_rows)], staging))


def stage_survivors(bucket: NumberedBucket, *, dropped: np.ndarray, staging: str, sources: Sequence[str]) -> Survivors:
    """Stages a bucket anew without the records of these numbers, which ascend: they are among its rejected lines then.

    What was staged by OPEN_SCHEMAS is staged by SCHEMAS now.
    """
    tables = {}
    rejected = [OPEN_SCHEMAS[REJECTED].empty_table()]
    for file in bucket.files:
        table = read_staged(file.staged, staging)
        is_dropped = np.zeros(table.num_rows, bool)
        is_dropped[dropped[file.places(dropped)] - file.first] = True
        tables[file.split] = table.filter(~is_dropped).select(SCHEMAS[file.split].names)
        lost = table.filter(is_dropped)
        lost = lost.append_column("raw", pa.nulls(lost.num_rows, pa.binary()))
        rejected.append(rejected_table(lost, np.full(lost.num_rows, REASON_CODE[NEAR_DUPLICATE]), sources))
    num_dropped = sum(table.num_rows for table in rejected)
    if bucket.rejected:  # behind the dropped ones: of these a line with the same key is a duplicate
        rejected.append(read_staged(bucket.rejected, staging))
    in_order = pa.concat_tables(rejected).sort_by(KEY)  # stable
    tables[REJECTED] = in_order.select(SCHEMAS[REJECTED].names)

    attempt = f"{bucket.bucket:06d}-{uuid.uuid4().hex}"
    files = {
        section: write_staged(rows, staging=staging, name=f"{attempt}-{section}.arrow")
        for section, rows in tables.items()
        if rows.num_rows
    }
    return Survivors(bucket.bucket, files, num_dropped)


def with_survivors(bucket: StagedBucket, survivors: Survivors) -> StagedBucket:
    """The bucket, its files replaced and the dropped records counted."""
    counted = {NEAR_DUPLICATE: survivors.num_dropped} if survivors.num_dropped else {}
    return msgspec.structs.replace(bucket, files=survivors.files, reasons=bucket.reasons | counted)
