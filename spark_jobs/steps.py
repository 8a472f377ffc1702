"""The steps of a preparation, DataFrame to DataFrame. One row is a task, a piece, or a result; never a record."""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, TypeVar

import msgspec
import pyarrow as pa
from pyspark import Accumulator
from pyspark.sql import DataFrame, SparkSession

from contract import storage
from contract.manifest import Source
from contract.names import STAGING_PREFIX
from spark_jobs.buckets import BUCKET, PIECE_COLUMNS, pieces_of_rows, rows_of_pieces
from spark_jobs.config import PrepareConfig
from spark_jobs.counts.records import ReadStatistics, sampling_rate
from spark_jobs.counts.tokens import read_tokenizer
from spark_jobs.input.fields import Part
from spark_jobs.input.parts import estimate_bytes, is_small, plan_parts
from spark_jobs.input.readers import documents_among, read_part
from spark_jobs.rows import CleaningRules, rows_of_fields
from spark_jobs.shards import (
    FINAL_SCHEMAS,
    STAGED_SCHEMAS_WITH_ORIGIN,
    ShardPlan,
    StagedBucket,
    TokenSampling,
    stage_bucket,
    write_shard,
)

INPUT_BYTES_PER_BUCKET: Final = 64 * 2**20
MAX_INPUT_BYTES_PER_BUCKET: Final = 512 * 2**20  # a bucket is held in memory, and Arrow's texts end at 2 GiB

ID: Final = "id"  # number of a task
RESULT: Final = "result"  # a task's result as JSON, for `collect`
RESULT_COLUMNS: Final = f"{RESULT} binary"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """The settings and the plan of one preparation; every task gets a copy."""

    config: PrepareConfig
    sources: tuple[Source, ...]
    parts: tuple[Part, ...]
    num_buckets: int
    tokens: TokenSampling
    name: str
    is_on_one_machine: bool = False  # whether all tasks run on this machine
    is_compiled: bool = True  # whether texts are cleaned by compiled code where there is some

    @property
    def staging(self) -> str:
        """Folder of this job's intermediate files."""
        return storage.join(self.config.output, f"{STAGING_PREFIX}{self.name}")

    @property
    def rules(self) -> CleaningRules:
        """The rules for lines."""
        config = self.config
        return CleaningRules(
            text_profile=config.text_profile,
            val_share=config.val_share,
            test_share=config.test_share,
            seed=config.seed,
            filters=config.filters(),
            sample_one_in=self.tokens.one_in,
            is_compiled=self.is_compiled,
        )

    @property
    def staged_schemas(self) -> Mapping[str, pa.Schema]:
        """The columns staged for each section: more of them if near duplicates are still to be dropped."""
        return FINAL_SCHEMAS if self.config.near_duplicates is None else STAGED_SCHEMAS_WITH_ORIGIN


def plan_job(
    config: PrepareConfig, sources: tuple[Source, ...], *, parallelism: int, is_on_one_machine: bool = False
) -> Job:
    """How the work is divided; the data set does not depend on it."""
    input_bytes, options = estimate_bytes(sources), config.read_options()
    documents = documents_among(sources, options=options)
    filesystem, path = storage.open_filesystem(config.output)
    return Job(
        # An absolute path: other processes have other working folders.
        config=replace(config, output=path) if storage.is_local(filesystem) else config,
        sources=sources,
        parts=tuple(plan_parts(sources, parallelism=parallelism, options=options, documents=documents)),
        num_buckets=max(
            config.partitions or -(-input_bytes // INPUT_BYTES_PER_BUCKET),
            -(-input_bytes // MAX_INPUT_BYTES_PER_BUCKET),
        ),
        tokens=TokenSampling(
            tokenizer=read_tokenizer(config.tokenizer) if config.tokenizer else None,
            one_in=sampling_rate(input_bytes),
        ),
        name=uuid.uuid4().hex,
        is_on_one_machine=is_on_one_machine,
        is_compiled=not is_small(sources),
    )


def tasks_of(spark: SparkSession, num_tasks: int) -> DataFrame:
    """One row for each task, its number in column ID."""
    return spark.range(0, num_tasks, 1, num_tasks)


def send_pieces(tasks: DataFrame, job: Job, *, lines: Accumulator[int]) -> DataFrame:
    """Reads, parses, cleans and keys the lines of each part, and counts them in `lines`.

    Needs ID, the index of a part; one row is a part before, a piece after, with the columns of PIECE_SCHEMA only.
    """

    def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in task_numbers(batches):
            yield from pieces_of_rows(
                rows_of_part(job, number, count=lines.add),
                num_buckets=job.num_buckets,
                first_bucket=number % job.num_buckets,
                folder=_folder_of_shuffles() if job.is_on_one_machine else None,
            )

    return tasks.mapInArrow(send, PIECE_COLUMNS)


def _folder_of_shuffles() -> str | None:
    """The folder that Spark shuffles through, which it names to its Python workers and deletes when it ends."""
    return os.environ.get("SPARK_LOCAL_DIRS", "").partition(",")[0] or None


def rows_of_part(
    job: Job, number: int, *, count: Callable[[int], object]
) -> Iterator[tuple[pa.RecordBatch, ReadStatistics]]:
    """The rows of ROW_SCHEMA of one part, some thousand at a time, and their statistics; `count` gets their number."""
    part = job.parts[number]
    for fields in read_part(job.sources[part.source], part, options=job.config.read_options()):
        yield rows_of_fields(fields, source=part.source, rules=job.rules)
        count(len(fields.offsets))


def bring_together(pieces: DataFrame, job: Job) -> DataFrame:
    """The one wide shuffle: all pieces of a bucket in one partition. Needs BUCKET; columns and grain stay the same."""
    return pieces.repartitionById(job.num_buckets, BUCKET)


def stage_buckets(pieces: DataFrame, job: Job, *, stage_rows: Callable[..., StagedBucket] | None = None) -> DataFrame:
    """Sorts and de-duplicates each bucket and stages its rows, by `stage_bucket` or a function with its parameters.

    Needs the columns of PIECE_SCHEMA, a bucket in one partition; one row is a piece before, a bucket after, with RESULT
    only, a StagedBucket. A bucket without pieces has no row.
    """
    sources = [source.path for source in job.sources]

    def stage(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        batches = (batch for batch in batches if batch.num_rows)
        first = next(batches, None)
        if first is None:
            return
        rows, read = rows_of_pieces(chain([first], batches))
        staged = (stage_rows or stage_bucket)(
            rows,
            bucket=first[BUCKET][0].as_py(),
            read=read,
            schemas=job.staged_schemas,
            staging=job.staging,
            sources=sources,
        )
        yield result_of(staged)

    return pieces.mapInArrow(stage, RESULT_COLUMNS)


def assemble_shards(
    tasks: DataFrame, job: Job, *, plans: Sequence[ShardPlan], rows: Accumulator[int], are_counted: bool = True
) -> DataFrame:
    """Writes each shard, and counts its rows in `rows` and, where `are_counted`, for the data card.

    Needs ID, the index of a plan; one row is a shard before and after, then with RESULT only, a WrittenShard.
    """

    tokens = job.tokens if are_counted else None

    def assemble(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in task_numbers(batches):
            shard = write_shard(plans[number], output=job.config.output, staging=job.staging, tokens=tokens)
            rows.add(shard.shard.rows)
            yield result_of(shard)

    return tasks.mapInArrow(assemble, RESULT_COLUMNS)


def task_numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    """The numbers of the tasks in these batches of `tasks_of`."""
    for batch in batches:
        yield from batch[ID].to_pylist()


def result_of(value: object) -> pa.RecordBatch:
    """One row that takes a task's result to the driver, for `collect`."""
    return pa.record_batch({RESULT: pa.array([msgspec.json.encode(value)], pa.binary())})


def collect(results: DataFrame, cls: type[Result]) -> list[Result]:
    """Runs the job; returns each task's result, from the one attempt that Spark accepted."""
    return [msgspec.json.decode(bytes(row[RESULT]), type=cls) for row in results.collect()]
