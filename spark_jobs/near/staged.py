"""Staged records by number, and their replacement when some of them are dropped.

Records are numbered in the order of the shards: by split, then by key. So a number does not depend on buckets.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from contract.columns import KEY, RAW, REJECTED, SPLITS
from contract.reasons import REASON_CODE
from spark_jobs.shards import (
    FINAL_SCHEMAS,
    STAGED_SCHEMAS_WITH_ORIGIN,
    StagedBucket,
    StagedFile,
    read_staged,
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

    def rows(self, numbers: np.ndarray) -> slice:
        """The part of these ascending numbers that belongs to records in this file."""
        return slice(*np.searchsorted(numbers, [self.first, self.first + self.staged.num_rows]))


@dataclass(frozen=True)
class NumberedBucket:
    """The staged files of one bucket."""

    bucket: int
    files: list[NumberedFile]
    rejected: StagedFile | None


class Survivors(msgspec.Struct, frozen=True):
    """The staged files of one bucket after near duplicates were dropped."""

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


def stage_survivors(bucket: NumberedBucket, *, dropped: np.ndarray, staging: str, sources: Sequence[str]) -> Survivors:
    """Stages a bucket again; the records of these ascending numbers are now among its rejected lines.

    The new files have FINAL_SCHEMAS instead of STAGED_SCHEMAS_WITH_ORIGIN.
    """
    tables = {}
    rejected = [STAGED_SCHEMAS_WITH_ORIGIN[REJECTED].empty_table()]
    for file in bucket.files:
        table = read_staged(file.staged, staging)
        is_dropped = np.zeros(table.num_rows, bool)
        is_dropped[dropped[file.rows(dropped)] - file.first] = True
        tables[file.split] = table.filter(~is_dropped).select(FINAL_SCHEMAS[file.split].names)
        lost = table.filter(is_dropped)
        lost = lost.append_column(RAW, pa.nulls(lost.num_rows, pa.binary()))
        rejected.append(rejected_table(lost, np.full(lost.num_rows, REASON_CODE[NEAR_DUPLICATE]), sources))
    num_dropped = sum(table.num_rows for table in rejected)
    if bucket.rejected:  # after the dropped records: a rejected line with the key of one of them is its duplicate
        rejected.append(read_staged(bucket.rejected, staging))
    in_order = pa.concat_tables(rejected).sort_by(KEY)  # stable
    tables[REJECTED] = in_order.select(FINAL_SCHEMAS[REJECTED].names)

    attempt = f"{bucket.bucket:06d}-{uuid.uuid4().hex}"
    files = {
        section: write_staged(rows, staging=staging, name=f"{attempt}-{section}.arrow")
        for section, rows in tables.items()
        if rows.num_rows
    }
    return Survivors(bucket.bucket, files, num_dropped)


def with_survivors(bucket: StagedBucket, survivors: Survivors) -> StagedBucket:
    """The bucket with its new files and with the count of dropped records."""
    counted = {NEAR_DUPLICATE: survivors.num_dropped} if survivors.num_dropped else {}
    return msgspec.structs.replace(bucket, files=survivors.files, reasons=bucket.reasons | counted)
