"""The steps of a preparation, DataFrame to DataFrame. Their rows are ranges, pieces, buckets, shards; never records."""

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
import pyarrow as pa
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException, PythonException
from pyspark.sql import DataFrame, SparkSession

from contract import storage
from contract.errors import UserError
from contract.manifest import Source
from spark_jobs.buckets import pieces_of_rows, rows_of_pieces
from spark_jobs.config import PrepareConfig
from spark_jobs.lines import iter_lines
from spark_jobs.parse import Rules, rows_of_lines
from spark_jobs.publish import STAGING_PREFIX
from spark_jobs.shards import ShardPlan, stage_bucket, write_shard
from spark_jobs.source import ByteRange, is_gzip, open_source, plan_ranges

INPUT_BYTES_PER_BUCKET: Final = 64 * 2**20
MAX_INPUT_BYTES_PER_BUCKET: Final = 512 * 2**20  # a bucket is held in memory, and Arrow's texts end at 2 GiB
_NO_SPACE: Final = "No space left on device"  # so says Java, too
_GZIP_RATIO: Final = 4  # of decompressed to compressed bytes, about

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """What the tasks of one preparation need to know; it travels to every executor."""

    config: PrepareConfig
    sources: tuple[Source, ...]
    ranges: tuple[ByteRange, ...]
    num_buckets: int
    name: str

    @property
    def staging(self) -> str:
        """Folder of this job's intermediate files."""
        return storage.join(self.config.output, f"{STAGING_PREFIX}{self.name}")


def plan_job(config: PrepareConfig, sources: tuple[Source, ...], *, parallelism: int) -> Job:
    """How the work is cut; what comes out does not depend on it."""
    input_bytes = sum(source.bytes * (_GZIP_RATIO if is_gzip(source) else 1) for source in sources)
    return Job(
        config=config,
        sources=sources,
        ranges=tuple(plan_ranges(sources, parallelism=parallelism)),
        num_buckets=max(
            config.partitions or -(-input_bytes // INPUT_BYTES_PER_BUCKET),
            -(-input_bytes // MAX_INPUT_BYTES_PER_BUCKET),
        ),
        name=uuid.uuid4().hex,
    )


def tasks_of(spark: SparkSession, num_tasks: int) -> DataFrame:
    """One row, `id`, for each of the tasks."""
    return spark.range(0, num_tasks, 1, num_tasks)


def send_pieces(tasks: DataFrame, job: Job) -> DataFrame:
    """Reads, parses, cleans and keys the lines of each range.

    From one row a range to one row a piece (PIECE_SCHEMA).
    """
    config = job.config
    rules = Rules(config.text_profile, config.val_share, config.test_share, config.seed)

    def rows_of_range(part: ByteRange) -> Iterator[pa.RecordBatch]:
        with open_source(job.sources[part.source]) as file:
            blocks = iter_lines(file, start=part.start, end=part.end, max_line_bytes=config.max_line_bytes)
            for lines in blocks:
                yield rows_of_lines(lines, source=part.source, rules=rules)

    def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in _numbers(batches):
            yield from pieces_of_rows(
                rows_of_range(job.ranges[number]),
                num_buckets=job.num_buckets,
                first_bucket=number % job.num_buckets,
            )

    return tasks.mapInArrow(send, "bucket int, num_lines long, rows binary")


def bring_together(pieces: DataFrame, job: Job) -> DataFrame:
    """The one wide shuffle: all pieces of a bucket in one partition. Same columns, same grain."""
    return pieces.repartitionById(job.num_buckets, "bucket")


def stage_buckets(pieces: DataFrame, job: Job) -> DataFrame:
    """Sorts and de-duplicates each bucket and stages its rows. From one row a piece to one result a bucket."""
    sources = [source.path for source in job.sources]

    def stage(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        batches = (batch for batch in batches if batch.num_rows)
        first = next(batches, None)
        if first is None:
            return
        rows, num_lines = rows_of_pieces(_chain(first, batches))
        bucket = first["bucket"][0].as_py()
        yield _result(stage_bucket(rows, bucket=bucket, num_lines=num_lines, staging=job.staging, sources=sources))

    return pieces.mapInArrow(stage, "result binary")


def assemble_shards(tasks: DataFrame, job: Job, *, plans: Sequence[ShardPlan]) -> DataFrame:
    """Writes each shard. From one row a shard to one result a shard."""

    def assemble(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in _numbers(batches):
            yield _result(write_shard(plans[number], output=job.config.output, staging=job.staging))

    return tasks.mapInArrow(assemble, "result binary")


def _numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch["id"].to_pylist()


def _chain(first: pa.RecordBatch, others: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from others


def _result(value: object) -> pa.RecordBatch:
    return pa.record_batch({"result": pa.array([msgspec.json.encode(value)], pa.binary())})


def collect(results: DataFrame, cls: type[Result]) -> list[Result]:
    """Runs the job; of every task the result of the one attempt that Spark took."""
    return [msgspec.json.decode(bytes(row.result), type=cls) for row in results.collect()]


@contextmanager
def user_errors_of_tasks() -> Iterator[None]:
    """Raises the UserError that a task raised, in place of Spark's account of it."""
    try:
        yield
    except PythonException as error:
        told = re.search(r"^(?:contract\.errors\.)?UserError: (.+)$", str(error), re.MULTILINE)
        if told is None:
            raise
        raise UserError(told[1]) from error
    except (Py4JJavaError, PySparkException) as error:
        if _NO_SPACE not in str(error):
            raise
        raise UserError(
            "no space left on the device that Spark shuffles through; make room there, or name another folder by the"
            " environment variable SPARK_LOCAL_DIRS (/tmp by default)"
        ) from error
