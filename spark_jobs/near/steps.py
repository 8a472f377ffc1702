"""The steps that drop near duplicates: staged buckets in, the same buckets without them out.

Which records are compared and which are dropped follows from the records alone, not from buckets or partitions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from contract import storage
from contract.columns import CONTENT, KEY, TITLE, UID
from spark_jobs.buckets import bounds_of, stream_of
from spark_jobs.near.candidates import Candidates, link_equal, plan_candidates
from spark_jobs.near.join import group_records
from spark_jobs.near.shingles import Banding, hash_bands, plan_bands, shingles_of
from spark_jobs.near.staged import (
    NumberedBucket,
    Survivors,
    number_records,
    stage_survivors,
    with_survivors,
)
from spark_jobs.session.failures import user_errors_of_tasks
from spark_jobs.session.watch import watch_tasks
from spark_jobs.shards import StagedBucket, read_staged
from spark_jobs.steps import RESULT, RESULT_COLUMNS, Job, collect, result_of, task_numbers, tasks_of

ENTRIES_PER_PARTITION: Final = 2**21  # an entry is a band of a record, 16 bytes; a task sorts them in about 100 MB

PARTITION: Final = "partition"
BANDS: Final = "bands"
NUMBERS: Final = "numbers"
RECORDS: Final = "records"
NUMBER: Final = "number"  # of a record among all that are kept
COMPONENT: Final = "component"


def drop_near_duplicates(
    spark: SparkSession, job: Job, buckets: Sequence[StagedBucket], *, threshold: float
) -> list[StagedBucket]:
    """The buckets without near duplicates: of each group the record with the smallest (uid, key) stays.

    The others are rejected as near_duplicate. Staged records are read three times and written once. The driver holds
    some 50 bytes for each band of a record that another record has, too.
    """
    banding = plan_bands(threshold)
    numbered = number_records(buckets)
    num_entries = banding.num_bands * sum(file.staged.num_rows for bucket in numbered for file in bucket.files)
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
        survivors = collect(every_bucket.transform(drop_records, job, buckets=numbered, dropped=dropped), Survivors)
    storage.delete_files(job.staging, [file.name for bucket in buckets for file in bucket.files.values()])
    by_bucket = {each.bucket: each for each in survivors}
    return [with_survivors(bucket, by_bucket[bucket.bucket]) for bucket in buckets]


@contextmanager
def _watched(spark: SparkSession, group: str, *, num_tasks: int, label: str) -> Iterator[None]:
    with user_errors_of_tasks(), watch_tasks(spark.sparkContext, group=group, num_tasks=num_tasks, label=label):
        yield


def send_bands(
    tasks: DataFrame, job: Job, *, buckets: Sequence[NumberedBucket], banding: Banding, num_partitions: int
) -> DataFrame:
    """Hashes the bands of every record.

    Needs ID, the index of a bucket; one row is a bucket before, a piece after: some bands of one partition, in
    PARTITION, BANDS (uint64) and NUMBERS (int64) of the records.
    """

    def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for task in task_numbers(batches):
            bands, numbers = _bands_of(buckets[task], job.staging, banding)
            for partition, first, end in bounds_of(bands, num_partitions):
                yield pa.record_batch(
                    {
                        PARTITION: pa.array([partition], pa.int32()),
                        BANDS: [bands[first:end].tobytes()],
                        NUMBERS: [numbers[first:end].tobytes()],
                    }
                )

    return tasks.mapInArrow(send, f"{PARTITION} int, {BANDS} binary, {NUMBERS} binary")


def _bands_of(bucket: NumberedBucket, staging: str, banding: Banding) -> tuple[np.ndarray, np.ndarray]:
    """All bands of all records, ascending, and the number of the record of each band."""
    bands, numbers = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for file in bucket.files:
        bands.append(hash_bands(shingles_of(read_staged(file.staged, staging)), banding).ravel())
        numbers.append(np.tile(file.numbers(), banding.num_bands))
    all_bands = np.concatenate(bands)
    order = np.argsort(all_bands)
    return all_bands[order], np.concatenate(numbers)[order]


def link_bands(pieces: DataFrame, *, num_partitions: int) -> DataFrame:
    """Links records that share a band.

    Needs PARTITION, BANDS and NUMBERS; one row is a piece before, a partition after, with RESULT only: pairs of
    numbers.
    """

    def link(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        bands, numbers = [], []
        for batch in batches:
            bands += batch[BANDS].to_pylist()
            numbers += batch[NUMBERS].to_pylist()
        links = link_equal(np.frombuffer(b"".join(bands), np.uint64), np.frombuffer(b"".join(numbers), np.int64))
        yield _result_of_numbers(links.T)

    return pieces.repartitionById(num_partitions, PARTITION).mapInArrow(link, RESULT_COLUMNS)


def send_candidates(
    tasks: DataFrame, job: Job, *, buckets: Sequence[NumberedBucket], candidates: Candidates
) -> DataFrame:
    """Reads the candidates.

    Needs ID, the index of a bucket; one row is a bucket before, a piece after: some candidates of one task, in
    PARTITION (the task) and RECORDS (an Arrow stream of UID, TITLE, CONTENT, KEY, NUMBER, COMPONENT).
    """

    def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in task_numbers(batches):
            for task, table in _candidates_of(buckets[number], job.staging, candidates):
                yield pa.record_batch({PARTITION: pa.array([task], pa.int32()), RECORDS: [stream_of(table)]})

    return tasks.mapInArrow(send, f"{PARTITION} int, {RECORDS} binary")


def _candidates_of(bucket: NumberedBucket, staging: str, candidates: Candidates) -> Iterator[tuple[int, pa.Table]]:
    """(task, records): the records of this bucket that the task has to compare."""
    for file in bucket.files:
        rows = file.rows(candidates.numbers)
        numbers, tasks = candidates.numbers[rows], candidates.tasks[rows]
        if not len(numbers):
            continue
        table = read_staged(file.staged, staging).select([UID, TITLE, CONTENT, KEY]).take(numbers - file.first)
        table = table.append_column(NUMBER, pa.array(numbers))
        table = table.append_column(COMPONENT, pa.array(candidates.components[rows]))
        for task in np.unique(tasks):
            yield int(task), table.filter(tasks == task)


def find_near_duplicates(pieces: DataFrame, *, num_tasks: int, threshold: float) -> DataFrame:
    """Compares candidates.

    Needs PARTITION and RECORDS; one row is a piece before, a task after, with RESULT only: numbers of records to drop.
    """

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tables = [pa.ipc.open_stream(piece.as_buffer()).read_all() for batch in batches for piece in batch[RECORDS]]
        # Sorted, so that the first of a group is the record that is kept.
        table = pa.concat_tables(tables).sort_by([(UID, "ascending"), (KEY, "ascending")])
        firsts = group_records(shingles_of(table), table[COMPONENT].to_numpy(), threshold=threshold)
        yield _result_of_numbers(table[NUMBER].to_numpy()[firsts != np.arange(len(firsts))])

    return pieces.repartitionById(num_tasks, PARTITION).mapInArrow(find, RESULT_COLUMNS)


def drop_records(tasks: DataFrame, job: Job, *, buckets: Sequence[NumberedBucket], dropped: np.ndarray) -> DataFrame:
    """Stages each bucket again without these records.

    Needs ID, the index of a bucket; one row is a bucket before and after, then with RESULT only, its Survivors.
    """
    sources = [source.path for source in job.sources]

    def drop(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for task in task_numbers(batches):
            yield result_of(stage_survivors(buckets[task], dropped=dropped, staging=job.staging, sources=sources))

    return tasks.mapInArrow(drop, RESULT_COLUMNS)


def _result_of_numbers(numbers: np.ndarray) -> pa.RecordBatch:
    return pa.record_batch({RESULT: pa.array([numbers.astype(np.int64).tobytes()], pa.binary())})


def _collect_numbers(results: DataFrame) -> np.ndarray:
    """Runs the job; returns the numbers of all tasks."""
    return np.frombuffer(b"".join(bytes(row[RESULT]) for row in results.collect()), np.int64)
