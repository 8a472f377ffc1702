"""Prepares a catalogue: JSON lines in, a published data set out.

Run it on this machine (`python -m spark_jobs.prepare --input trn.json --output data`), or on a cluster, also by
`spark-submit spark_jobs/prepare.py --input …`; docs/cluster.md has the commands.
"""

import sys

if __name__ == "__main__" and __package__ is None:  # run by its path, as spark-submit does
    sys.path.insert(0, __file__.rpartition("/spark_jobs/")[0])  # Python has put spark_jobs/ there, not its parent

from command.signals import code_of, exit_on_signals, raising_on_signals

if __name__ == "__main__":
    exit_on_signals()  # the libraries below take a second or more to load

import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from pyspark.sql import SparkSession

from command.entry import exit_code
from command.options import parse_settings, to_argv
from command.progress import ProgressBar
from contract import storage
from contract.columns import REJECTED, SPLITS
from contract.errors import UserError
from contract.manifest import Manifest, RowCounts, Source, find_manifest
from contract.names import CARD_HTML, CARD_JSON, SECTIONS
from contract.reasons import REASONS
from contract.shard import Shard
from spark_jobs.append.old import find_old, new_sources
from spark_jobs.append.run import append_lines
from spark_jobs.card.content import card_json, make_card
from spark_jobs.card.page import card_html
from spark_jobs.card.schema import Card
from spark_jobs.config import PrepareConfig, load_prepare, settings_of_data_set
from spark_jobs.counts.records import KeptStatistics, ReadStatistics, merge_kept, merge_read
from spark_jobs.counts.stored import Statistics, read_statistics, tokenizer_digest, write_statistics
from spark_jobs.filters import languages_of, require_languages
from spark_jobs.input.parts import is_small
from spark_jobs.input.source import list_sources
from spark_jobs.losses import all_problems, require_records
from spark_jobs.near.steps import drop_near_duplicates
from spark_jobs.publish import (
    delete_staging,
    has_card,
    is_up_to_date,
    publish_over,
    refuse_to_replace,
    sweep,
    user_errors_of_writing,
    without_empty_folders,
)
from spark_jobs.session.failures import user_errors_of_lost_java, user_errors_of_tasks
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


def prepare(config: PrepareConfig) -> Manifest:
    """The manifest of the data set that these settings make of the input: published now, or already there.

    Beside it lie card.html and card.json, which say what it holds and how it was made.
    UserError where the input cannot be read, or the output holds another data set and `overwrite` is not set.
    """
    if languages := languages_of(config.filters()):
        require_languages(languages)
    tell = partial(print, file=sys.stderr)
    old = find_old(config) if config.append is not None else None
    sources = list_sources(config.input, tell=tell)
    _require_output(config, sources)
    found = old.manifest if old else find_manifest(config.output)
    if old:
        sources = new_sources(sources, old, tell=tell)
        is_done = not sources
    else:
        is_done = bool(found) and not config.overwrite
    if found and is_done:
        return _found_done(found, config, sources=sources)

    progress = ProgressBar("prepare")
    with without_empty_folders(config.output):
        try:
            manifest, statistics = append_lines(config, old, sources) if old else _prepare_all(config, sources)
        except UserError as error:
            raise all_problems(error, sources, config.read_options()) from error
    with user_errors_of_writing(config.output):
        manifest = replace(manifest, statistics=write_statistics(statistics, output=config.output))
        publish_over(found, manifest, output=config.output)
        num_swept = sweep(manifest, output=config.output)
        card = _write_card(manifest, statistics, config)
    progress.done(f"{_what(manifest)}, data set {manifest.dataset_id},")
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in manifest.rows.rejected.items() if count)
    print(f"rejected: {reasons or 'none'}; see {storage.join(config.output, CARD_HTML)}", file=sys.stderr)
    for note in card.notes:
        print(f"noted: {note.count:,} {note.note}: {note.meaning}", file=sys.stderr)
    if num_swept:
        print(f"swept {num_swept} file(s) that earlier preparations left in {config.output}", file=sys.stderr)
    return manifest


def _found_done(found: Manifest, config: PrepareConfig, *, sources: tuple[Source, ...]) -> Manifest:
    """The data set that is there, where nothing is to be done; UserError where it is another one."""
    if config.append is None and not is_up_to_date(found, config, sources=sources):
        refuse_to_replace(found, config, sources=sources)
    holds = "holds the lines of these files already" if found.appended else "already holds this data set"
    print(f"nothing to do: {config.output} {holds} ({found.dataset_id})", file=sys.stderr)
    is_missing = not has_card(found, config.output)
    with user_errors_of_writing(config.output):
        if is_missing and found.statistics:
            _write_card(found, read_statistics(found.statistics, output=config.output), config)
        sweep(found, output=config.output)
    if is_missing:
        made = "it is made" if found.statistics else "--overwrite makes it"
        print(f"its data card is missing ({CARD_HTML}, {CARD_JSON}): {made} again", file=sys.stderr)
    return found


def _write_card(manifest: Manifest, statistics: Statistics, config: PrepareConfig) -> Card:
    """The data card, written beside the data set."""
    command = ["vitrine", "prepare", *to_argv(config)]
    card = make_card(manifest, read=statistics.read, kept=statistics.kept, command=command)
    for name, text in ((CARD_JSON, card_json(card)), (CARD_HTML, card_html(card))):
        storage.write_bytes(storage.join(config.output, name), text.encode())
    return card


def _what(manifest: Manifest) -> str:
    """What was kept, in words."""
    kept = f"{manifest.rows.kept} of {manifest.rows.input} records kept"
    if not manifest.appended:
        return kept
    rows = manifest.appended[-1].rows
    added = sum(rows.get(split, 0) for split in SPLITS)
    return f"{added} of {manifest.appended[-1].lines} new records added, {kept}"


def _prepare_all(config: PrepareConfig, sources: tuple[Source, ...]) -> tuple[Manifest, Statistics]:
    session = open_session(
        config.master, conf=config.spark_conf(), environment=config.environment, is_compiled=not is_small(sources)
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


def _require_output(config: PrepareConfig, sources: Sequence[Source]) -> None:
    """UserError where the output cannot be written to, or input and output lie one in the other."""
    storage.require_writable(config.output)
    filesystem, root = storage.open_filesystem(config.output)
    if root.startswith(f"{storage.open_filesystem(config.input)[1]}/"):
        raise UserError(f"the output {config.output} lies in the input folder {config.input}; choose another output")
    if not storage.is_local(filesystem):
        root = filesystem.unstrip_protocol(root)
    inside = [source.path for source in sources if source.path.startswith(f"{root}/")]
    if inside:
        raise UserError(f"the input {inside[0]} lies in the output folder {config.output}; choose another output")


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


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exit code 2 for an error that a user can correct."""
    arguments = sys.argv[1:] if argv is None else argv
    with raising_on_signals() as received:

        def run_unless_stopped() -> None:
            try:
                _main(arguments)
            except KeyboardInterrupt:  # pyspark's own signal handler raises it, too
                received.append(received[0] if received else signal.SIGINT)
            except BaseException:  # a library may have turned the interrupt into an error of its own
                if not received:
                    raise

        code = exit_code(run_unless_stopped)
    return code_of(received[0]) if received else code


def _main(argv: Sequence[str]) -> None:
    prepare(
        parse_settings(PrepareConfig, argv, prog="spark_jobs.prepare", description=__doc__ or "", load=load_prepare)
    )


if __name__ == "__main__":
    sys.exit(main())
