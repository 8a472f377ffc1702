"""From sorted buckets to shards of an exact number of rows: stage each bucket, plan by counting, assemble each shard.

A staged file's name is its attempt's own, and a shard's name holds a hash of its content, so retries and speculative
copies of a task do no harm: the driver gets the result of one attempt, and the files of the others are swept.
"""

import io
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract import storage
from contract.columns import (
    CONTENT,
    KEY,
    KEY_BYTES,
    OFFSET,
    RAW,
    REASON,
    REJECTED,
    REJECTED_SCHEMA,
    ROW_GROUP_ROWS,
    SHARD_SCHEMA,
    SOURCE,
    SPLITS,
    TITLE,
    UID,
)
from contract.names import SECTIONS
from contract.reasons import KEPT, REASON_CODE, REASON_NAMES
from contract.shard import Shard, open_writer, row_groups_of, shard_of
from spark_jobs.buckets import order_and_reasons
from spark_jobs.counts.records import KeptStatistics, ReadStatistics, count_kept, merge_kept
from spark_jobs.counts.tokens import load_tokenizer
from spark_jobs.publish import user_errors_of_writing
from spark_jobs.rows import RAW_TITLE, ROW_SCHEMA, SPLIT

FINAL_SCHEMAS: Final = dict.fromkeys(SPLITS, SHARD_SCHEMA) | {REJECTED: REJECTED_SCHEMA}
# Of rows that can still be rejected: with the columns that REJECTED_SCHEMA needs.
STAGED_SCHEMAS_WITH_ORIGIN: Final = dict.fromkeys(
    SPLITS, pa.schema([*SHARD_SCHEMA, *(ROW_SCHEMA.field(name) for name in (SOURCE, OFFSET, RAW_TITLE))])
) | {REJECTED: pa.schema([*REJECTED_SCHEMA, SHARD_SCHEMA.field(KEY)])}
_STAGED_BATCH_ROWS: Final = 2_000
_IPC_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4")
_AS_THEY_ARE: Final = pa.ipc.IpcWriteOptions()  # on a disk of this machine, where compression costs more than room


class StagedFile(msgspec.Struct, frozen=True):
    """Rows of one bucket and section in order, as an Arrow file below the staging folder."""

    name: str
    num_rows: int


class StagedBucket(msgspec.Struct, frozen=True):
    """The result of a reduce task: the staged files of its bucket, and what was counted."""

    bucket: int
    reasons: dict[str, int]
    files: dict[str, StagedFile]  # by section; none for a section without rows
    read: ReadStatistics  # sent to this bucket by map tasks; its lines may be in any bucket
    kept: KeptStatistics  # of duplicates only


class TokenSampling(msgspec.Struct, frozen=True):
    """How tokens are counted for the data card."""

    tokenizer: str | None = None  # the text of tokenizer.json; None counts none
    one_in: int = 1  # tokens are counted in one record of this many


class Slice(msgspec.Struct, frozen=True):
    """Some rows of a staged file."""

    name: str
    first: int
    num_rows: int


class ShardPlan(msgspec.Struct, frozen=True):
    """One shard: the slices of staged files that hold its rows, in order."""

    section: str
    number: int
    slices: tuple[Slice, ...]


_NO_KEYS: Final = pa.array([], pa.binary(KEY_BYTES))
_NO_TOKENS: Final = TokenSampling()


class WrittenShard(msgspec.Struct, frozen=True):
    """A shard, and the statistics of its records; empty for rejected lines."""

    shard: Shard
    kept: KeptStatistics


def stage_bucket(
    table: pa.Table,
    *,
    bucket: int,
    read: ReadStatistics,
    schemas: Mapping[str, pa.Schema],
    staging: str,
    sources: Sequence[str],
) -> StagedBucket:
    """Writes the rows of a bucket, sorted and without duplicates, by section; the result goes to the driver."""
    order, reasons = order_and_reasons(table)
    splits = table[SPLIT].to_numpy()[order]
    tables = {
        split: table.select(schemas[split].names).take(pa.array(order[(reasons == KEPT) & (splits == position)]))
        for position, split in enumerate(SPLITS)
    }
    is_rejected = reasons != KEPT
    rejected = table.take(pa.array(order[is_rejected]))
    tables[REJECTED] = rejected_table(rejected, reasons[is_rejected], sources)

    attempt = f"{bucket:06d}-{uuid.uuid4().hex}"
    staged = {
        section: write_staged(
            rows.select(schemas[section].names).cast(schemas[section]),
            staging=staging,
            name=f"{attempt}-{section}.arrow",
        )
        for section, rows in tables.items()
        if rows.num_rows
    }
    codes, counts = np.unique(reasons[is_rejected], return_counts=True)
    is_duplicate = pa.array(reasons[is_rejected] == REASON_CODE["duplicate"])
    return StagedBucket(
        bucket=bucket,
        reasons={REASON_NAMES[code]: int(count) for code, count in zip(codes, counts, strict=True)},
        files=staged,
        read=read,
        kept=count_records(
            SHARD_SCHEMA.empty_table(), duplicate_keys=rejected[KEY].filter(is_duplicate).combine_chunks()
        ),
    )


def rejected_table(rows: pa.Table, reasons: np.ndarray, sources: Sequence[str]) -> pa.Table:
    """Rejected rows in REJECTED_SCHEMA and with their keys; `reasons` are codes, titles are as they were read."""
    titles = pc.if_else(pc.equal(rows[TITLE], ""), None, rows[TITLE])
    columns = {
        REASON: pa.array(REASON_NAMES, pa.string()).take(pa.array(reasons)),
        SOURCE: pa.array(sources, pa.string()).take(rows[SOURCE].combine_chunks()),
        OFFSET: rows[OFFSET],
        UID: rows[UID],
        TITLE: pc.coalesce(rows[RAW_TITLE], titles),
        RAW: rows[RAW],
        KEY: rows[KEY].cast(pa.binary()),
    }
    return pa.table(columns, schema=STAGED_SCHEMAS_WITH_ORIGIN[REJECTED])


def write_staged(rows: pa.Table, *, staging: str, name: str) -> StagedFile:
    filesystem, path = storage.open_filesystem(storage.join(staging, name))
    with user_errors_of_writing(staging), ExitStack() as closing:
        create = partial(filesystem.open, path, "wb")
        is_local = storage.is_local(filesystem)
        file = storage.in_folder(os.path.dirname(path), create) if is_local else create()
        options = _AS_THEY_ARE if is_local else _IPC_OPTIONS
        writer = pa.ipc.new_file(closing.enter_context(file), rows.schema, options=options)
        # One chunk: so every batch but the last has the full number of rows, and a row's batch follows by division.
        closing.enter_context(writer).write_table(rows.combine_chunks(), max_chunksize=_STAGED_BATCH_ROWS)
    return StagedFile(name, rows.num_rows)


def plan_shards(
    buckets: Sequence[StagedBucket], *, shard_rows: int, first_numbers: Mapping[str, int] | None = None
) -> list[ShardPlan]:
    """Shards of exactly `shard_rows` rows, from the counts alone; the last shard of a section holds the remainder.

    `first_numbers` are the numbers of the first shards by section, 0 where none is given.
    """
    plans = []
    for section in SECTIONS:
        slices: list[Slice] = []
        room = shard_rows
        numbers = count((first_numbers or {}).get(section, 0))
        for bucket in sorted(buckets, key=lambda bucket: bucket.bucket):
            staged = bucket.files.get(section)
            first = 0
            while staged and first < staged.num_rows:
                taken = min(room, staged.num_rows - first)
                slices.append(Slice(staged.name, first, taken))
                first, room = first + taken, room - taken
                if not room:
                    plans.append(ShardPlan(section, next(numbers), tuple(slices)))
                    slices, room = [], shard_rows
        if slices:
            plans.append(ShardPlan(section, next(numbers), tuple(slices)))
    return plans


def write_shard(plan: ShardPlan, *, output: str, staging: str, tokens: TokenSampling | None) -> WrittenShard:
    """Assembles one shard and writes it, whole or not at all. Without `tokens` its records are not counted."""
    schema = FINAL_SCHEMAS[plan.section]
    sink = io.BytesIO()
    kept = []
    with open_writer(sink, schema) as writer:
        for group in row_groups_of(read_slices(plan.slices, staging), schema):
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
            if plan.section in SPLITS and tokens is not None:
                kept.append(count_records(group, tokens=tokens))
    data = sink.getvalue()
    num_rows = sum(part.num_rows for part in plan.slices)
    shard = shard_of(data, section=plan.section, number=plan.number, rows=num_rows)
    with user_errors_of_writing(output):
        storage.write_bytes(storage.join(output, shard.path), data)
    return WrittenShard(shard, merge_kept(kept))


def count_records(
    records: pa.Table, *, duplicate_keys: pa.Array = _NO_KEYS, tokens: TokenSampling = _NO_TOKENS
) -> KeptStatistics:
    """The statistics of these records in SHARD_SCHEMA, and of duplicates with these keys."""
    return count_kept(
        titles=records[TITLE].combine_chunks(),
        contents=records[CONTENT].combine_chunks(),
        keys=records[KEY].combine_chunks().cast(_NO_KEYS.type),
        duplicate_keys=duplicate_keys,
        one_in=tokens.one_in,
        tokenizer=load_tokenizer(tokens.tokenizer) if tokens.tokenizer else None,
    )


def read_slices(slices: Sequence[Slice], staging: str) -> Iterator[pa.RecordBatch]:
    for part in slices:
        filesystem, path = storage.open_filesystem(storage.join(staging, part.name))
        with filesystem.open(path, "rb", block_size=storage.READ_BYTES) as file:
            reader = pa.ipc.open_file(file)
            position, end = part.first, part.first + part.num_rows
            while position < end:
                number, skipped = divmod(position, _STAGED_BATCH_ROWS)
                batch = reader.get_batch(number).slice(skipped, end - position)
                yield batch
                position += batch.num_rows


def read_staged(file: StagedFile, staging: str) -> pa.Table:
    """All rows of a staged file."""
    return pa.Table.from_batches(read_slices([Slice(file.name, 0, file.num_rows)], staging))
