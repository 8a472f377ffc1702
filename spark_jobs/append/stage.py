"""What an append stages: new rows but those that repeat an old record, and the old rows of shards that are not full.

An old record stays as it is, whatever the new lines hold: a new line with its texts is a duplicate of it.
"""

import uuid
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contract import storage
from contract.columns import KEY, REASON, REJECTED, SPLITS
from contract.manifest import Manifest
from contract.names import SECTIONS
from contract.reasons import KEPT, REASON_CODE
from contract.shard import Shard
from spark_jobs.append.keys import known_keys
from spark_jobs.counts.records import KeptStatistics, ReadStatistics, merge_kept
from spark_jobs.rows import ROW_SCHEMA
from spark_jobs.shards import (
    FINAL_SCHEMAS,
    StagedBucket,
    count_records,
    read_staged,
    stage_bucket,
    write_staged,
)
from spark_jobs.steps import Job

_BEFORE_ALL: Final = -1  # the number of the bucket of old rows


def stage_new(table: pa.Table, *, job: Job, shards: Sequence[Shard], **where: Any) -> StagedBucket:
    """As `stage_bucket`, but rows that repeat records of the old `shards` are duplicates, and records are counted."""
    is_kept = pc.equal(table[REASON], KEPT)
    known = known_keys(_keys(table.filter(is_kept)), shards=shards, output=job.config.output)
    is_known = pc.and_(is_kept, pc.is_in(_keys(table), value_set=known))
    reasons = pc.if_else(is_known, pa.scalar(REASON_CODE["duplicate"], pa.int8()), table[REASON])
    table = table.set_column(table.schema.get_field_index(REASON), ROW_SCHEMA.field(REASON), reasons)
    staged = stage_bucket(table, **where)
    records = [read_staged(file, job.staging) for section, file in staged.files.items() if section != REJECTED]
    counted = [count_records(each, tokens=job.tokens) for each in records]
    return msgspec.structs.replace(staged, kept=merge_kept([staged.kept, *counted]))


def _keys(table: pa.Table) -> pa.BinaryArray:
    return table[KEY].combine_chunks().cast(pa.binary())


def stage_tails(manifest: Manifest, job: Job, *, sections: Collection[str]) -> StagedBucket:
    """The rows of the last shards of these sections, where they are not full, as a bucket before all others."""
    files = {}
    for section in sections:
        *_, last = old_shards(manifest, section) or [None]
        if last is not None and last.rows < job.config.shard_rows:
            rows = (
                _read_shard(last, job.config.output).select(FINAL_SCHEMAS[section].names).cast(FINAL_SCHEMAS[section])
            )
            name = f"tail-{uuid.uuid4().hex}-{section}.arrow"
            files[section] = write_staged(rows, staging=job.staging, name=name)
    return StagedBucket(_BEFORE_ALL, reasons={}, files=files, read=ReadStatistics(), kept=KeptStatistics())


def full_shards(manifest: Manifest, tails: StagedBucket) -> dict[str, tuple[Shard, ...]]:
    """The old shards of each section that stay: all but those whose rows are staged again."""
    return {section: old_shards(manifest, section)[: -1 if section in tails.files else None] for section in SECTIONS}


def old_shards(manifest: Manifest, section: str) -> tuple[Shard, ...]:
    """The shards of a split, or of the rejected lines."""
    return manifest.rejected if section == REJECTED else manifest.splits[section]


def records_of(manifest: Manifest) -> list[Shard]:
    """The shards of all splits."""
    return [shard for split in SPLITS for shard in manifest.splits[split]]


def _read_shard(shard: Shard, output: str) -> pa.Table:
    url = storage.join(output, shard.path)
    data = storage.read_checked(url, sha256=shard.sha256, restore="'vitrine verify' shows more")
    return pq.read_table(pa.BufferReader(data))
