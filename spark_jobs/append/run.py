"""The work of an append. A few new lines are read here, in this process; many are read on Spark, by the same steps."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec
import pyarrow as pa
from pyspark.sql import SparkSession

from command.progress import ProgressBar
from contract.appends import Append
from contract.columns import REJECTED, SPLITS
from contract.errors import UserError
from contract.manifest import Manifest, RowCounts, Source
from contract.names import SECTIONS
from contract.reasons import REASONS
from contract.shard import Shard
from spark_jobs.append.old import OldDataSet
from spark_jobs.append.stage import full_shards, records_of, stage_new, stage_tails
from spark_jobs.config import PrepareConfig
from spark_jobs.counts.records import ReadStatistics, merge_kept, merge_read
from spark_jobs.counts.stored import Statistics
from spark_jobs.input.parts import SMALL_BYTES, estimate_bytes, is_small
from spark_jobs.losses import require_records
from spark_jobs.publish import delete_staging
from spark_jobs.rows import ROW_SCHEMA
from spark_jobs.session.failures import user_errors_of_lost_java, user_errors_of_tasks
from spark_jobs.session.java import is_started_by_submit
from spark_jobs.session.session import open_session
from spark_jobs.session.watch import watch_tasks
from spark_jobs.shards import ShardPlan, StagedBucket, WrittenShard, plan_shards, write_shard
from spark_jobs.steps import (
    Job,
    assemble_shards,
    bring_together,
    collect,
    plan_job,
    rows_of_part,
    send_pieces,
    stage_buckets,
    tasks_of,
)

MAX_BYTES_HERE: Final = SMALL_BYTES  # Spark alone takes two seconds to start

Write = Callable[[Sequence[ShardPlan]], list[WrittenShard]]


def append_lines(config: PrepareConfig, old: OldDataSet, sources: tuple[Source, ...]) -> tuple[Manifest, Statistics]:
    """The manifest of the old records and then those of the new files, not yet published; its new shards are written.

    About 60 us a new line, and 10 us a row of the last shard of each section, which is written again.
    """
    is_here = config.master.startswith("local") and not is_started_by_submit()
    with ExitStack() as tidying:
        if is_here and estimate_bytes(sources) <= MAX_BYTES_HERE:
            job = _plan(config, old, sources, parallelism=1)
            tidying.callback(delete_staging, job.staging)
            return _finish(job, old, [_read_here(job, old)], write=partial(_write_here, job))
        session = open_session(
            config.master, conf=config.spark_conf(), environment=config.environment, is_compiled=not is_small(sources)
        )
        tidying.enter_context(user_errors_of_lost_java())
        spark = tidying.enter_context(session)
        job = _plan(config, old, sources, parallelism=spark.sparkContext.defaultParallelism)
        tidying.callback(delete_staging, job.staging)  # when no task is left that could write there
        return _finish(job, old, _read_on_spark(job, old, spark), write=partial(_write_on_spark, job, spark))


def _plan(config: PrepareConfig, old: OldDataSet, sources: tuple[Source, ...], *, parallelism: int) -> Job:
    """The job for the new files, whose numbers follow those of the old ones."""
    job, before = plan_job(config, sources, parallelism=parallelism), old.manifest.source
    return replace(
        job,
        sources=(*before, *sources),
        parts=tuple(replace(part, source=part.source + len(before)) for part in job.parts),
        tokens=msgspec.structs.replace(job.tokens, one_in=old.statistics.one_in),
    )


def _read_here(job: Job, old: OldDataSet) -> StagedBucket:
    progress, num_lines = ProgressBar("reading"), 0
    batches, statistics = [], []
    for number in range(len(job.parts)):
        for rows, read in rows_of_part(job, number, count=lambda _: None):
            batches.append(rows)
            statistics.append(read)
            num_lines += rows.num_rows
            progress.show(number / len(job.parts), f"{num_lines:,} rows")
    if not batches:
        raise UserError(_no_line(job))
    table = pa.Table.from_batches(batches, ROW_SCHEMA).combine_chunks()
    paths = [source.path for source in job.sources]
    where = {"schemas": job.staged_schemas, "staging": job.staging, "sources": paths}
    return _stage(job, old)(table, bucket=0, read=merge_read(statistics), **where)


def _stage(job: Job, old: OldDataSet) -> Callable[..., StagedBucket]:
    return partial(stage_new, job=job, shards=records_of(old.manifest))


def _no_line(job: Job) -> str:
    return f"the input is empty: {job.config.input} holds no line, or only the names of columns"


def _write_here(job: Job, plans: Sequence[ShardPlan]) -> list[WrittenShard]:
    def write(plan: ShardPlan) -> WrittenShard:
        return write_shard(plan, output=job.config.output, staging=job.staging, tokens=None)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # compression and hashes leave the interpreter to others
        return list(pool.map(write, plans))


def _read_on_spark(job: Job, old: OldDataSet, spark: SparkSession) -> list[StagedBucket]:
    context = spark.sparkContext
    num_tasks, lines = len(job.parts) + job.num_buckets, context.accumulator(0)
    with user_errors_of_tasks(), watch_tasks(context, group=job.name, num_tasks=num_tasks, label="reading", rows=lines):
        pieces = tasks_of(spark, len(job.parts)).transform(send_pieces, job, lines=lines)
        pieces = pieces.transform(bring_together, job)
        buckets = collect(pieces.transform(stage_buckets, job, stage_rows=_stage(job, old)), StagedBucket)
    if not any(bucket.files for bucket in buckets):
        raise UserError(_no_line(job))
    return buckets


def _write_on_spark(job: Job, spark: SparkSession, plans: Sequence[ShardPlan]) -> list[WrittenShard]:
    context = spark.sparkContext
    rows, group = context.accumulator(0), f"{job.name}-shards"
    with user_errors_of_tasks(), watch_tasks(context, group=group, num_tasks=len(plans), label="writing", rows=rows):
        tasks = tasks_of(spark, len(plans))
        return collect(tasks.transform(assemble_shards, job, plans=plans, rows=rows, are_counted=False), WrittenShard)


def _finish(job: Job, old: OldDataSet, new: Sequence[StagedBucket], *, write: Write) -> tuple[Manifest, Statistics]:
    """Writes the shards behind the old ones, and adds up what was counted."""
    added = {
        section: sum(each.files[section].num_rows for each in new if section in each.files) for section in SECTIONS
    }
    reasons: Counter[str] = Counter()
    for bucket in new:
        reasons.update(bucket.reasons)
    read = merge_read(bucket.read for bucket in new)
    require_records(job, reasons, num_kept=sum(added[split] for split in SPLITS), read=read)
    tails = stage_tails(old.manifest, job, sections=[section for section in SECTIONS if added[section]])
    shards = full_shards(old.manifest, tails)
    numbers = {section: len(each) for section, each in shards.items()}
    plans = plan_shards([tails, *new], shard_rows=job.config.shard_rows, first_numbers=numbers)
    for written in sorted(write(plans), key=lambda written: (len(written.shard.path), written.shard.path)):
        section = written.shard.path.partition("/")[0]
        shards[section] += (written.shard,)
    append = Append(
        len(job.sources) - len(old.manifest.source), read.num_lines, {name: num for name, num in added.items() if num}
    )
    before = old.statistics
    statistics = msgspec.structs.replace(
        before,
        read=merge_read([before.read, _without_samples_of(before.read, read)]),
        kept=merge_kept([before.kept, *(bucket.kept for bucket in new)]),
    )
    return _manifest(old.manifest, job.sources, shards, append=append, reasons=reasons), statistics


def _without_samples_of(before: ReadStatistics, read: ReadStatistics) -> ReadStatistics:
    """The new samples but those of records that are samples already: of equal records the old one is kept."""
    known = {sample.key for sample in before.samples}
    samples = tuple(sample for sample in read.samples if sample.key not in known)
    return msgspec.structs.replace(read, samples=samples)


def _manifest(
    old: Manifest,
    sources: tuple[Source, ...],
    shards: dict[str, tuple[Shard, ...]],
    *,
    append: Append,
    reasons: Counter[str],
) -> Manifest:
    """Publication refuses it if a line was lost on the way."""
    return replace(
        old,
        source=sources,
        rows=RowCounts(
            input=old.rows.input + append.lines,
            kept=sum(shard.rows for split in SPLITS for shard in shards[split]),
            rejected={reason: old.rows.rejected.get(reason, 0) + reasons[reason] for reason in REASONS},
        ),
        splits={split: shards[split] for split in SPLITS},
        rejected=shards[REJECTED],
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        appended=(*old.appended, append),
        statistics=None,
    )
