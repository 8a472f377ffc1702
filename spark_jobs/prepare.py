"""Prepares a catalogue: JSON lines in, a published data set out.

Run it on this machine (`python -m spark_jobs.prepare --input trn.json --output data`) or by spark-submit.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession

from contract import storage
from contract.columns import REASONS, REJECTED, SPLITS
from contract.errors import UserError
from contract.manifest import Manifest, Rows, Shard, Source, find_manifest
from contract.progress import Progress
from contract.settings import exit_code, parse_settings
from spark_jobs.config import PrepareConfig
from spark_jobs.publish import delete_staging, is_up_to_date, publish_over, refuse_to_replace, sweep
from spark_jobs.session import open_session
from spark_jobs.shards import SECTIONS, StagedBucket, plan_shards
from spark_jobs.source import list_sources
from spark_jobs.steps import (
    Job,
    assemble_shards,
    bring_together,
    collect,
    plan_job,
    send_pieces,
    stage_buckets,
    tasks_of,
    user_errors_of_tasks,
)
from spark_jobs.watch import watch_tasks


def prepare(config: PrepareConfig) -> Manifest:
    """The data set that these settings make of the input, published; or the one that is there, if it is the same.

    UserError where the input cannot be read, or the output holds another data set and `overwrite` is not set.
    """
    sources = list_sources(config.input)
    _require_output(config, sources)
    found = find_manifest(config.output)
    if found and not config.overwrite:
        if not is_up_to_date(found, config, sources=sources):
            raise refuse_to_replace(found, config, sources=sources)
        print(f"nothing to do: {config.output} holds this data set already ({found.dataset_id})", file=sys.stderr)
        return found

    progress = Progress("prepare")
    with open_session(config.master) as spark:
        job = plan_job(config, sources, parallelism=spark.sparkContext.defaultParallelism)
        try:
            manifest = _run(job, spark)
            publish_over(found, manifest, output=config.output)
        finally:
            delete_staging(job.staging)
    sweep(manifest, output=config.output)
    progress.done(f"{manifest.rows.kept} of {manifest.rows.input} records kept, data set {manifest.dataset_id},")
    return manifest


def _require_output(config: PrepareConfig, sources: Sequence[Source]) -> None:
    """UserError where the output is no folder to write to, or the input lies in it."""
    filesystem, root = storage.open_filesystem(config.output)
    if storage.is_local(filesystem):
        nearest = next(path for path in (Path(root), *Path(root).parents) if path.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            raise UserError(f"cannot write to {config.output}: {nearest} is no folder that may be written to")
    else:
        root = filesystem.unstrip_protocol(root)
    inside = [source.path for source in sources if source.path.startswith(f"{root}/")]
    if inside:
        raise UserError(f"the input {inside[0]} lies in the output folder {config.output}; choose another output")


def _run(job: Job, spark: SparkSession) -> Manifest:
    """The steps between reading and publication: pieces, buckets, shards."""
    num_tasks = len(job.ranges) + job.num_buckets
    with user_errors_of_tasks(), watch_tasks(spark.sparkContext, group=job.name, num_tasks=num_tasks, label="reading"):
        pieces = tasks_of(spark, len(job.ranges)).transform(send_pieces, job).transform(bring_together, job)
        buckets = collect(pieces.transform(stage_buckets, job), StagedBucket)
    plans = plan_shards(buckets, shard_rows=job.config.shard_rows)
    if not plans:
        raise UserError(f"the input is empty: {job.config.input} holds no line once decompressed")
    with (
        user_errors_of_tasks(),
        watch_tasks(spark.sparkContext, group=f"{job.name}-shards", num_tasks=len(plans), label="writing"),
    ):
        shards = collect(tasks_of(spark, len(plans)).transform(assemble_shards, job, plans=plans), Shard)
    return _manifest(job, buckets=buckets, shards=shards)


def _manifest(job: Job, *, buckets: Sequence[StagedBucket], shards: Sequence[Shard]) -> Manifest:
    """The manifest, not yet published. Publication refuses it if a line was lost on the way."""
    reasons: Counter[str] = Counter()
    for bucket in buckets:
        reasons.update(bucket.reasons)
    of_section: dict[str, list[Shard]] = {section: [] for section in SECTIONS}
    for shard in sorted(shards, key=lambda shard: (len(shard.path), shard.path)):  # 99999 before 100000
        of_section[shard.path.partition("/")[0]].append(shard)
    return Manifest(
        source=job.sources,
        text_profile=job.config.text_profile,
        config=job.config.of_data(),
        rows=Rows(
            input=sum(bucket.num_lines for bucket in buckets),
            kept=sum(shard.rows for split in SPLITS for shard in of_section[split]),
            rejected={reason: reasons[reason] for reason in REASONS},
        ),
        splits={split: tuple(of_section[split]) for split in SPLITS},
        rejected=tuple(of_section[REJECTED]),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exit code 2 for what a user can put right."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        return exit_code(lambda: _main(arguments))
    except KeyboardInterrupt:
        print("stopped; what was done so far is swept by the next run", file=sys.stderr)
        return 128 + signal.SIGINT


def _main(argv: Sequence[str]) -> None:
    prepare(parse_settings(PrepareConfig, argv, prog="spark_jobs.prepare", description=__doc__ or ""))


if __name__ == "__main__":
    sys.exit(main())
