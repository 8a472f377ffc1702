"""From sorted buckets to shards of an exact number of rows: stage each bucket, plan by counting, assemble each shard.

A staged file's name is its attempt's own, and a shard's name tells its content, so retries and speculative copies of
a task do no harm: the driver hears of one attempt, and what the others leave behind is swept.
"""

import hashlib
import io
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contract import storage
from contract.columns import KEY, REASONS, REJECTED, REJECTED_SCHEMA, ROW_GROUP_ROWS, SHARD_SCHEMA, SPLITS, TITLE, UID
from contract.manifest import Shard
from spark_jobs.parse import KEPT
from spark_jobs.writing import user_errors_of_writing

SECTIONS: Final = (*SPLITS, REJECTED)
SCHEMAS: Final = dict.fromkeys(SPLITS, SHARD_SCHEMA) | {REJECTED: REJECTED_SCHEMA}
_STAGED_BATCH_ROWS: Final = 2_000
_IPC_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4")


class StagedFile(msgspec.Struct, frozen=True):
    """Rows of one bucket and section in order, as an Arrow file below the staging folder."""

    name: str
    num_rows: int


class StagedBucket(msgspec.Struct, frozen=True):
    """What a reduce task made of its bucket."""

    bucket: int
    num_lines: int  # announced to this bucket by the tasks that read them, whatever bucket the lines went to
    reasons: dict[str, int]
    files: dict[str, StagedFile]  # by section; none for a section without rows


class Slice(msgspec.Struct, frozen=True):
    """Some rows of a staged file."""

    name: str
    first: int
    num_rows: int


class ShardPlan(msgspec.Struct, frozen=True):
    """Where the rows of one shard lie, in order."""

    section: str
    number: int
    slices: tuple[Slice, ...]


def stage_bucket(table: pa.Table, *, bucket: int, num_lines: int, staging: str, sources: Sequence[str]) -> StagedBucket:
    """Writes the rows of a settled bucket by section; the result is all that the driver needs to know."""
    reasons = table["reason"].to_numpy()
    codes, counts = np.unique(reasons[reasons != KEPT], return_counts=True)
    files = {}
    for position, split in enumerate(SPLITS):
        is_in = pc.and_(pc.equal(table["reason"], KEPT), pc.equal(table["split"], position))
        files[split] = table.filter(is_in).select(SHARD_SCHEMA.names).cast(SHARD_SCHEMA)
    files[REJECTED] = _rejected(table.filter(pc.not_equal(table["reason"], KEPT)), sources)

    attempt = f"{bucket:06d}-{uuid.uuid4().hex}"
    staged = {
        section: _write_staged(rows, staging=staging, name=f"{attempt}-{section}.arrow")
        for section, rows in files.items()
        if rows.num_rows
    }
    return StagedBucket(
        bucket=bucket,
        num_lines=num_lines,
        reasons={REASONS[code]: int(count) for code, count in zip(codes, counts, strict=True)},
        files=staged,
    )


def _rejected(rows: pa.Table, sources: Sequence[str]) -> pa.Table:
    """REJECTED_SCHEMA of rows that did not get through; titles as they were read."""
    titles = pc.if_else(pc.equal(rows[TITLE], ""), None, rows[TITLE])
    columns = {
        "reason": pa.array(REASONS, pa.string()).take(rows["reason"].combine_chunks()),
        "source": pa.array(sources, pa.string()).take(rows["source"].combine_chunks()),
        "offset": rows["offset"],
        UID: rows[UID],
        TITLE: pc.coalesce(rows["raw_title"], titles),
        "raw": rows["raw"],
    }
    return pa.table(columns, schema=REJECTED_SCHEMA)


def _write_staged(rows: pa.Table, *, staging: str, name: str) -> StagedFile:
    filesystem, path = storage.open_filesystem(storage.join(staging, name))
    with user_errors_of_writing(staging):
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    with (
        user_errors_of_writing(staging),
        filesystem.open(path, "wb") as file,
        pa.ipc.new_file(file, rows.schema, options=_IPC_OPTIONS) as writer,
    ):
        # Of one chunk, so that every batch but the last has the full number of rows and can be found by division.
        writer.write_table(rows.combine_chunks(), max_chunksize=_STAGED_BATCH_ROWS)
    return StagedFile(name, rows.num_rows)


def plan_shards(buckets: Sequence[StagedBucket], *, shard_rows: int) -> list[ShardPlan]:
    """Shards of exactly `shard_rows` rows, the last of a section of what remains, from the counts alone."""
    plans = []
    for section in SECTIONS:
        slices: list[Slice] = []
        room = shard_rows
        numbers = iter(range(10**9))
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


def write_shard(plan: ShardPlan, *, output: str, staging: str) -> Shard:
    """Assembles one shard and writes it, whole or not at all."""
    schema = SCHEMAS[plan.section]
    sink = io.BytesIO()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=["reason", "source"],
        write_statistics=[KEY],
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        for group in _row_groups(_read_slices(plan.slices, staging), schema):
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
    data = sink.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    path = f"{plan.section}/part-{plan.number:05d}-{digest[:8]}.parquet"
    with user_errors_of_writing(output):
        storage.write_bytes(storage.join(output, path), data)
    return Shard(path=path, rows=sum(part.num_rows for part in plan.slices), bytes=len(data), sha256=digest)


def _read_slices(slices: Sequence[Slice], staging: str) -> Iterator[pa.RecordBatch]:
    for part in slices:
        filesystem, path = storage.open_filesystem(storage.join(staging, part.name))
        with filesystem.open(path, "rb") as file:
            reader = pa.ipc.open_file(file)
            position, end = part.first, part.first + part.num_rows
            while position < end:
                number, skipped = divmod(position, _STAGED_BATCH_ROWS)
                batch = reader.get_batch(number).slice(skipped, end - position)
                yield batch
                position += batch.num_rows


def _row_groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of ROW_GROUP_ROWS rows in one chunk each: pages end where chunks do, and must not tell of buckets."""
    held: list[pa.RecordBatch] = []
    num_held = 0
    for batch in batches:
        while num_held + batch.num_rows >= ROW_GROUP_ROWS:
            taken = ROW_GROUP_ROWS - num_held
            yield pa.Table.from_batches([*held, batch.slice(0, taken)], schema).combine_chunks()
            held, num_held, batch = [], 0, batch.slice(taken)
        if batch.num_rows:
            held.append(batch)
            num_held += batch.num_rows
    if held:
        yield pa.Table.from_batches(held, schema).combine_chunks()
