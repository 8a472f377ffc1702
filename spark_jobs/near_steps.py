"""The steps that drop near duplicates: staged buckets in, the same buckets without them out.

Records are numbered as the shards will hold them: by split, then by key. What a record is compared with, and what
becomes of it, follows from the records alone, whatever buckets and partitions they lie in.

What comes in has been staged by OPEN_SCHEMAS, what goes out by SCHEMAS.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from contract import storage
from contract.columns import CONTENT, KEY, REJECTED, SPLITS, TITLE, UID
from spark_jobs.buckets import bounds_of
from spark_jobs.near import Banding, hash_bands, plan_bands, shingles_of
from spark_jobs.near_candidates import Candidates, link_equal, plan_candidates
from spark_jobs.near_join import group_records
from spark_jobs.shards import OPEN_SCHEMAS, SCHEMAS, Slice, StagedBucket, StagedFile, read_slices, write_staged
from spark_jobs.steps import Job, collect, result_of, task_numbers, tasks_of, user_errors_of_tasks
from spark_jobs.watch import watch_tasks

NEAR_DUPLICATE: Final = "near_duplicate"
ENTRIES_PER_PARTITION: Final = 2**21  # a band of a record each, of 16 bytes; a task sorts them in about 100 MB

_IPC_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class NumberedBucket:
    """One bucket, and the number of the first record of each of its splits."""

    staged: StagedBucket
    firsts: dict[str, int]

    def splits(self) -> Iterator[tuple[StagedFile, int]]:
        """Each split's file and the number of its first record."""
        return ((self.staged.files[split], number) for split, number in self.firsts.items())


def drop_near_duplicates(
    spark: SparkSession, job: Job, buckets: Sequence[StagedBucket], *, threshold: float
) -> list[StagedBucket]:
    """The buckets, of each group of near duplicates only the record with the smallest (uid, key).

    The others are rejected as `near_duplicate`. Two jobs over all records read them, one writes them; the driver holds
    32 bytes or less for each band of a record that shares it with another.
    """
    banding = plan_bands(threshold)
    numbered = number_records(buckets)
    num_entries = banding.num_bands * sum(file.num_rows for bucket in numbered for file, _ in bucket.splits())
    num_partitions = max(spark.sparkContext.defaultParallelism, -(-num_entries // ENTRIES_PER_PARTITION))
    every_bucket = tasks_of(spark, len(numbered))

    bands = every_bucket.transform(send_bands, job, buckets=numbered, banding=banding, num_partitions=num_partitions)
    with _watched(spark, f"{job.name}-bands", num_tasks=len(numbered) + num_partitions, label="hashing"):
        links = _collect_numbers(bands.transform(link_bands, num_partitions=num_partitions)).reshape(-1, 2).T
    candidates = plan_candidates(links)
    dropped = np.empty(0, np.int64)
    if candidates.num_tasks:
        texts = every_bucket.transform(send_candidates, job, buckets=numbered, candidates=candidates)
        found = texts.transform(find_near_duplicates, num_tasks=candidates.num_tasks, threshold=threshold)
        with _watched(spark, f"{job.name}-near", num_tasks=len(numbered) + candidates.num_tasks, label="comparing"):
            dropped = np.sort(_collect_numbers(found))
    with _watched(spark, f"{job.name}-drop", num_tasks=len(numbered), label="dropping"):
        kept = collect(every_bucket.transform(stage_without, job, buckets=numbered, dropped=dropped), StagedBucket)
    storage.delete_files(job.staging, [file.name for bucket in buckets for file in bucket.files.values()])
    return kept


@contextmanager
def _watched(spark: SparkSession, group: str, *, num_tasks: int, label: str) -> Iterator[None]:
    with user_errors_of_tasks(), watch_tasks(spark.sparkContext, group=group, num_tasks=num_tasks, label=label):
        yield


def number_records(buckets: Sequence[StagedBucket]) -> list[NumberedBucket]:
    """The buckets in order, their records numbered."""
    numbered = [NumberedBucket(bucket, {}) for bucket in sorted(buckets, key=lambda bucket: bucket.bucket)]
    number = 0
    for split in SPLITS:
        for bucket in numbered:
            if split in bucket.staged.files:
                bucket.firsts[split] = number
                number += bucket.staged.files[split].num_rows
    return numbered


def send_bands(
    tasks: DataFrame, job: Job, *, buckets: Sequence[NumberedBucket], banding: Banding, num_partitions: int
) -> DataFrame:
    """Hashes the bands of every record. From one row a bucket to one row a piece: bands of one partition."""

    def entries_of(bucket: NumberedBucket) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for file, number in bucket.splits():
            table = _read(file, job)
            numbers = np.arange(number, number + table.num_rows)
            yield hash_bands(shingles_of(table), banding).ravel(), np.tile(numbers, banding.num_bands)

    def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for task in task_numbers(batches):
            entries = [*entries_of(buckets[task]), (np.empty(0, np.uint64), np.empty(0, np.int64))]
            bands, numbers = (np.concatenate(arrays) for arrays in zip(*entries, strict=True))
            order = np.argsort(bands)
            bands, numbers = bands[order], numbers[order]
            for partition, first, end in bounds_of(bands, num_partitions):
                yield pa.record_batch(
                    {
                        "partition": pa.array([partition], pa.int32()),
                        "bands": [bands[first:end].tobytes()],
                        "numbers": [numbers[first:end].tobytes()],
                    }
                )

    return tasks.mapInArrow(send, "partition int, bands binary, numbers binary")


def link_bands(pieces: DataFrame, *, num_partitions: int) -> DataFrame:
    """Links records that share a band. From one row a piece to one result a partition: pairs of numbers."""

    def link(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        columns = [(batch["bands"].to_pylist(), batch["numbers"].to_pylist()) for batch in batches]
        bands = np.frombuffer(b"".join(piece for column, _ in columns for piece in column), np.uint64)
        numbers = np.frombuffer(b"".join(piece for _, column in columns for piece in column), np.int64)
        yield _result_of_numbers(link_equal(bands, numbers).T)

    return pieces.repartitionById(num_partitions, "partition").mapInArrow(link, "result binary")


def send_candidates(
    tasks: DataFrame, job: Job, *, buckets: Sequence[NumberedBucket], candidates: Candidates
) -> DataFrame:
    """Reads the candidates. From one row a bucket to one row a piece: candidates of one task, as an Arrow stream."""

    def candidates_of(bucket: NumberedBucket) -> Iterator[tuple[int, pa.Table]]:
        for file, number in bucket.splits():
            here = _within(file, number, candidates.numbers)
            numbers, tasks = candidates.numbers[here], candidates.tasks[here]
            table = _read(file, job).select([UID, TITLE, CONTENT, KEY]).take(numbers - number)
            table = table.append_column("number", pa.array(numbers))
            table = table.append_column("component", pa.array(candidates.components[here]))
            for task in np.unique(tasks):
                yield int(task), table.filter(tasks == task)

    def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for task in task_numbers(batches):
            for number, table in candidates_of(buckets[task]):
                yield pa.record_batch({"partition": pa.array([number], pa.int32()), "records": [_stream_of(table)]})

    return tasks.mapInArrow(send, "partition int, records binary")


def find_near_duplicates(pieces: DataFrame, *, num_tasks: int, threshold: float) -> DataFrame:
    """Compares candidates. From one row a piece to one result a task: the numbers of the records to drop."""

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tables = [pa.ipc.open_stream(piece.as_buffer()).read_all() for batch in batches for piece in batch["records"]]
        table = pa.concat_tables(tables).sort_by([(UID, "ascending"), (KEY, "ascending")])
        components = table["component"].to_numpy()
        firsts = group_records(shingles_of(table), components, threshold=threshold)
        yield _result_of_numbers(table["number"].to_numpy()[firsts != np.arange(len(firsts))])

    return pieces.repartitionById(num_tasks, "partition").mapInArrow(find, "result binary")


def stage_without(tasks: DataFrame, job: Job, *, buckets: Sequence[NumberedBucket], dropped: np.ndarray) -> DataFrame:
    """Stages each bucket anew without these records, which are rejected. From one row a bucket to one result each."""
    sources = [source.path for source in job.sources]

    def stage(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for task in task_numbers(batches):
            yield result_of(_stage_without(buckets[task], job, dropped=dropped, sources=sources))

    return tasks.mapInArrow(stage, "result binary")


def _stage_without(bucket: NumberedBucket, job: Job, *, dropped: np.ndarray, sources: Sequence[str]) -> StagedBucket:
    tables = {}
    rejected = [OPEN_SCHEMAS[REJECTED].empty_table()]
    for split, number in bucket.firsts.items():
        table = _read(bucket.staged.files[split], job)
        is_dropped = np.zeros(table.num_rows, bool)
        is_dropped[dropped[_within(bucket.staged.files[split], number, dropped)] - number] = True
        tables[split] = table.filter(~is_dropped).select(SCHEMAS[split].names).cast(SCHEMAS[split])
        rejected.append(_rejected(table.filter(is_dropped), sources))
    num_dropped = sum(table.num_rows for table in rejected)
    if REJECTED in bucket.staged.files:  # behind the dropped ones: what has the key of one of these is its duplicate
        rejected.append(_read(bucket.staged.files[REJECTED], job))
    in_order = pa.concat_tables(rejected).sort_by(KEY)  # stable
    tables[REJECTED] = in_order.select(SCHEMAS[REJECTED].names)

    attempt = f"{bucket.staged.bucket:06d}-{uuid.uuid4().hex}"
    staged = {
        section: write_staged(rows, staging=job.staging, name=f"{attempt}-{section}.arrow")
        for section, rows in tables.items()
        if rows.num_rows
    }
    reasons = bucket.staged.reasons | ({NEAR_DUPLICATE: num_dropped} if num_dropped else {})
    return msgspec.structs.replace(bucket.staged, files=staged, reasons=reasons)


def _rejected(rows: pa.Table, sources: Sequence[str]) -> pa.Table:
    columns = {
        "reason": pa.array([NEAR_DUPLICATE] * rows.num_rows, pa.string()),
        "source": pa.array(sources, pa.string()).take(rows["source"].combine_chunks()),
        "offset": rows["offset"],
        UID: rows[UID],
        TITLE: pc.coalesce(rows["raw_title"], rows[TITLE]),
        "raw": pa.nulls(rows.num_rows, pa.binary()),
        KEY: rows[KEY],
    }
    return pa.table(columns, schema=OPEN_SCHEMAS[REJECTED])


def _stream_of(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_IPC_OPTIONS) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _read(file: StagedFile, job: Job) -> pa.Table:
    return pa.Table.from_batches(read_slices([Slice(file.name, 0, file.num_rows)], job.staging))


def _within(file: StagedFile, number: int, numbers: np.ndarray) -> slice:
    """Which of the ascending numbers are of records in this file, the first of which has `number`."""
    return slice(*np.searchsorted(numbers, [number, number + file.num_rows]))


def _result_of_numbers(numbers: np.ndarray) -> pa.RecordBatch:
    return pa.record_batch({"result": pa.array([numbers.astype(np.int64).tobytes()], pa.binary())})


def _collect_numbers(results: DataFrame) -> np.ndarray:
    """Runs the job; the numbers of all tasks."""
    return np.frombuffer(b"".join(bytes(row.result) for row in results.collect()), np.int64)
