"""A data set made on Spark, up to its manifest, and the card that describes it."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from pyspark.sql import SparkSession

from command.options import to_argv
from contract import storage
from contract.columns import REJECTED, SPLITS
from contract.errors import UserError
from contract.manifest import Manifest, RowCounts, Source
from contract.names import CARD_HTML, CARD_JSON, SECTIONS
from contract.reasons import REASONS
from contract.shard import Shard
from spark_jobs.card.content import card_json, make_card
from spark_jobs.card.page import card_html
from spark_jobs.card.schema import Card
from spark_jobs.config import PrepareConfig, settings_of_data_set
from spark_jobs.counts.records import KeptStatistics, ReadStatistics, merge_kept, merge_read
from spark_jobs.counts.stored import Statistics, tokenizer_digest
from spark_jobs.input.parts import is_small
from spark_jobs.losses import require_records
from spark_jobs.near.steps import drop_near_duplicates
from spark_jobs.publish import delete_staging
from spark_jobs.session.failures import user_errors_of_lost_java, user_errors_of_tasks
from spark_jobs.session.launcher import LocalJava
from spark_jobs.session.session import is_on_one_machine, open_session
from spark_jobs.session.watch import watch_tasks
from spark_jobs.shards import StagedBucket, WrittenShard, plan_shards
from spark_jobs.steps import (
    Job,
    assemble_shards,
    bring_together,
    collect,
    plan_job,
    send_pieces,
    stage_buckets,
    tasks_of,
)


def make_data_set(
    config: PrepareConfig, sources: tuple[Source, ...], *, java: LocalJava | None
) -> tuple[Manifest, Statistics]:
    """The manifest of all lines, not yet published; its shards are written. `java` is that of `java_ahead`."""
    session = open_session(
        config.master,
        conf=config.spark_conf(),
        environment=config.environment,
        is_compiled=not is_small(sources),
        java=java,
    )
    with ExitStack() as tidying, user_errors_of_lost_java(), session as spark:
        job = plan_job(
            config,
            sources,
            parallelism=spark.sparkContext.defaultParallelism,
            is_on_one_machine=is_on_one_machine(spark),
        )
        tidying.callback(delete_staging, job.staging)  # when no task is left that could write there
        manifest, kept, read = _run(job, spark)
    digest = tokenizer_digest(job.tokens.tokenizer)
    return manifest, Statistics(read, kept, one_in=job.tokens.one_in, tokenizer=digest)


def _run(job: Job, spark: SparkSession) -> tuple[Manifest, KeptStatistics, ReadStatistics]:
    """The steps between reading and publication: pieces, buckets, shards."""
    context = spark.sparkContext
    num_tasks, lines = len(job.parts) + job.num_buckets, context.accumulator(0)
    with user_errors_of_tasks(), watch_tasks(context, group=job.name, num_tasks=num_tasks, label="reading", rows=lines):
        pieces = tasks_of(spark, len(job.parts)).transform(send_pieces, job, lines=lines)
        pieces = pieces.transform(bring_together, job)
        buckets = collect(pieces.transform(stage_buckets, job), StagedBucket)
    if not any(bucket.files for bucket in buckets):
        raise UserError(f"the input is empty: {job.config.input} holds no line, or only the names of columns")
    read = merge_read(bucket.read for bucket in buckets)
    num_kept = sum(bucket.files[split].num_rows for bucket in buckets for split in SPLITS if split in bucket.files)
    require_records(job, _count_reasons(buckets), num_kept=num_kept, read=read)
    if job.config.near_duplicates is not None:
        buckets = drop_near_duplicates(spark, job, buckets, threshold=job.config.near_duplicates)
    plans = plan_shards(buckets, shard_rows=job.config.shard_rows)
    rows, group = context.accumulator(0), f"{job.name}-shards"
    with user_errors_of_tasks(), watch_tasks(context, group=group, num_tasks=len(plans), label="writing", rows=rows):
        tasks = tasks_of(spark, len(plans))
        shards = collect(tasks.transform(assemble_shards, job, plans=plans, rows=rows), WrittenShard)
    kept = merge_kept([*(bucket.kept for bucket in buckets), *(shard.kept for shard in shards)])
    return _manifest(job, buckets, [each.shard for each in shards], num_lines=read.num_lines), kept, read


def _count_reasons(buckets: Sequence[StagedBucket]) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for bucket in buckets:
        reasons.update(bucket.reasons)
    return reasons


def _manifest(job: Job, buckets: Sequence[StagedBucket], shards: Sequence[Shard], *, num_lines: int) -> Manifest:
    """The manifest, not yet published. Publication refuses it if a line was lost on the way."""
    reasons = _count_reasons(buckets)
    shards_of: dict[str, list[Shard]] = {section: [] for section in SECTIONS}
    for shard in sorted(shards, key=lambda shard: (len(shard.path), shard.path)):  # 99999 before 100000
        shards_of[shard.path.partition("/")[0]].append(shard)
    return Manifest(
        source=job.sources,
        text_profile=job.config.text_profile,
        config=settings_of_data_set(job.config),
        rows=RowCounts(
            input=num_lines,
            kept=sum(shard.rows for split in SPLITS for shard in shards_of[split]),
            rejected={reason: reasons[reason] for reason in REASONS},
        ),
        splits={split: tuple(shards_of[split]) for split in SPLITS},
        rejected=tuple(shards_of[REJECTED]),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def write_card(manifest: Manifest, statistics: Statistics, config: PrepareConfig) -> Card:
    """The data card, written beside the data set."""
    command = ["vitrine", "prepare", *to_argv(config)]
    card = make_card(manifest, read=statistics.read, kept=statistics.kept, command=command)
    for name, text in ((CARD_JSON, card_json(card)), (CARD_HTML, card_html(card))):
        storage.write_bytes(storage.join(config.output, name), text.encode())
    return card
