"""Near duplicates leave staged buckets, each for its reason and in its place, however the work is cut."""

import random
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest

from contract import storage
from contract.columns import REJECTED, REJECTED_SCHEMA, SHARD_SCHEMA, SPLITS
from contract.keys import record_key, split_of
from contract.manifest import Source
from spark_jobs import shards
from spark_jobs.config import PrepareConfig
from spark_jobs.counts.records import KeptStatistics, ReadStatistics
from spark_jobs.near import steps
from spark_jobs.near.candidates import plan_candidates
from spark_jobs.near.steps import drop_near_duplicates
from spark_jobs.shards import SECTIONS, STAGED_SCHEMAS_WITH_ORIGIN, StagedBucket, plan_shards
from spark_jobs.steps import Job, plan_job
from tests.contract.text.test_cases import CASES
from tests.spark_jobs import nasty
from tests.spark_jobs.catalogues import all_records, records, write
from tests.spark_jobs.conftest import Prepare, SparkHolder
from tests.spark_jobs.near.near_texts import exact_labels, mutants, sets_of, table

pytestmark = pytest.mark.spark

RAW_TITLES: Final = (None, "<b>Raw</b>")


def catalogue(texts: list[str]) -> list[dict]:
    """Settled rows of these texts, in the order of their keys; uids are in no order."""
    texts = list(dict.fromkeys(texts))
    names = random.Random(8).sample(range(10**6), len(texts))
    rows = [
        record | {"uid": f"u{name}", "source": number % 2, "offset": number, "raw_title": RAW_TITLES[number % 2]}
        for number, (record, name) in enumerate(zip(table(texts).to_pylist(), names, strict=True))
    ]
    for row in rows:
        row["key"] = record_key(row["title"], row["content"])
        row["split"] = split_of(row["title"], val_share=0.1, test_share=0.1, seed=0)
    return sorted(rows, key=lambda row: row["key"])


def duplicate_of(row: dict) -> dict:
    """What a line with the same text as this record was staged as."""
    return {
        "reason": "duplicate",
        "source": "a.json",
        "offset": row["offset"] + 10**6,
        "uid": "z",
        "title": row["title"],
        "raw": None,
        "key": row["key"],
    }


def stage(job: Job, rows: list[dict], num_buckets: int) -> list[StagedBucket]:
    """These rows, and for every third a duplicate, in so many buckets."""
    buckets = []
    for bucket in range(num_buckets):
        here = [row for row in rows if int.from_bytes(row["key"][:4], "big") * num_buckets >> 32 == bucket]
        sections = {
            split: pa.Table.from_pylist(
                [row for row in here if row["split"] == split], STAGED_SCHEMAS_WITH_ORIGIN[split]
            )
            for split in SPLITS
        }
        rejected = [duplicate_of(row) for row in here if row["offset"] % 3 == 0]
        sections[REJECTED] = pa.Table.from_pylist(rejected, STAGED_SCHEMAS_WITH_ORIGIN[REJECTED])
        files = {
            section: shards.write_staged(found, staging=job.staging, name=f"{bucket}-{section}.arrow")
            for section, found in sections.items()
            if found.num_rows
        }
        reasons = {"duplicate": len(rejected)}
        read = ReadStatistics(num_lines=bucket)
        buckets.append(StagedBucket(bucket, reasons=reasons, files=files, read=read, kept=KeptStatistics()))
    return buckets


def read_sections(job: Job, buckets: list[StagedBucket]) -> dict[str, list[dict]]:
    """All rows of each section, as the shards will hold them."""
    found: dict[str, list[dict]] = {}
    for section in SECTIONS:
        plans = [plan for plan in plan_shards(buckets, shard_rows=10**9) if plan.section == section]
        batches = [batch for plan in plans for batch in shards.read_slices(plan.slices, job.staging)]
        assert all(batch.schema.equals(shards.FINAL_SCHEMAS[section]) for batch in batches)
        found[section] = [row for batch in batches for row in batch.to_pylist()]
    return found


def expected_sections(rows: list[dict], threshold: float) -> dict[str, list[dict]]:
    rows = sorted(rows, key=lambda row: (row["uid"], row["key"]))
    labels = exact_labels(sets_of(pa.Table.from_pylist(rows)), threshold)
    kept_keys = {rows[label]["key"] for label in labels}
    rows = sorted(rows, key=lambda row: row["key"])
    expected: dict[str, list[dict]] = {
        split: [
            {name: row[name] for name in SHARD_SCHEMA.names}
            for row in rows
            if row["split"] == split and row["key"] in kept_keys
        ]
        for split in SPLITS
    }
    rejected = []
    for row in rows:
        if row["key"] not in kept_keys:
            source = ("a.json", "b.json")[row["source"]]
            title = row["raw_title"] or row["title"]
            rejected.append(row | {"reason": "near_duplicate", "source": source, "title": title, "raw": None})
        if row["offset"] % 3 == 0:
            rejected.append(duplicate_of(row))
    expected[REJECTED] = [{name: row[name] for name in REJECTED_SCHEMA.names} for row in rejected]
    return expected


def job_in(folder: Path) -> Job:
    sources = (Source("a.json", 1, ""), Source("b.json", 1, ""))
    return plan_job(PrepareConfig(input="in", output=str(folder)), sources, parallelism=2)


@pytest.mark.parametrize(
    ("num_buckets", "entries_per_partition", "records_per_task"), [(1, 2**21, 20_000), (3, 500, 50), (7, 3_000, 10)]
)
def test_of_each_group_the_smallest_uid_is_kept_however_the_work_is_cut(
    spark_holder: SparkHolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    num_buckets: int,
    entries_per_partition: int,
    records_per_task: int,
) -> None:
    monkeypatch.setattr(steps, "ENTRIES_PER_PARTITION", entries_per_partition)
    monkeypatch.setattr(steps, "plan_candidates", partial(plan_candidates, records_per_task=records_per_task))
    rows = catalogue([*mutants(9, num_originals=40, num_words=60), "Red Shirt", "USB Cable", "red shirt"])
    job = job_in(tmp_path)
    staged = stage(job, rows, num_buckets)

    buckets = drop_near_duplicates(spark_holder.get("local[2]"), job, staged, threshold=0.8)

    expected = expected_sections(rows, 0.8)
    assert read_sections(job, buckets) == expected
    num_dropped = sum(row["reason"] == "near_duplicate" for row in expected[REJECTED])
    assert num_dropped > 50
    assert sum(bucket.reasons.get("near_duplicate", 0) for bucket in buckets) == num_dropped
    assert sum(len(expected[split]) for split in SPLITS) + num_dropped == len(rows)
    for before, after in zip(staged, buckets, strict=True):
        assert (after.bucket, after.read, after.kept) == (before.bucket, before.read, before.kept)
        assert after.reasons["duplicate"] == before.reasons["duplicate"]
        rejected = after.files[REJECTED].num_rows if REJECTED in after.files else 0
        assert sum(after.reasons.values()) == rejected
    names = {file.name for bucket in buckets for file in bucket.files.values()}
    assert set(storage.list_files(job.staging)) == names


def test_where_nothing_is_alike_nothing_is_dropped(spark_holder: SparkHolder, tmp_path: Path) -> None:
    rows = catalogue([f"Mug {number}" for number in range(100)])
    job = job_in(tmp_path)
    buckets = drop_near_duplicates(spark_holder.get("local[2]"), job, stage(job, rows, 2), threshold=0.5)
    assert read_sections(job, buckets) == expected_sections(rows, 0.5)
    assert all(set(bucket.reasons) == {"duplicate"} for bucket in buckets)


def test_texts_without_blanks_lose_their_near_duplicates(run: Prepare, tmp_path: Path) -> None:
    manifest = run(CASES / "cjk-near.json", tmp_path / "out", near_duplicates=0.7)
    assert (manifest.rows.kept, manifest.rows.rejected["near_duplicate"]) == (3, 2)
    assert {row["uid"] for row in all_records(tmp_path / "out")} == {"1", "3", "4"}


def test_a_catalogue_with_near_duplicates_has_one_answer(run: Prepare, tmp_path: Path) -> None:
    """Through the whole job, whatever the order of the lines and the number of buckets."""
    texts = [text.split(" ", 1) for text in dict.fromkeys(mutants(10, num_originals=30, num_words=60))]
    lines = [
        nasty.line(uid=f"u{number}", title=title, content=content) for number, (title, content) in enumerate(texts)
    ]
    first = run(write(tmp_path / "in.json", lines), tmp_path / "one", near_duplicates=0.8, partitions=1)
    other = run(
        write(tmp_path / "other" / "in.json", lines[::-1]), tmp_path / "many", near_duplicates=0.8, partitions=5
    )
    assert first.dataset_id == other.dataset_id
    assert first.rows.rejected == other.rows.rejected
    assert first.rows.rejected["near_duplicate"] > 50
    told = [[(row["uid"], row["reason"]) for row in records(tmp_path / name, REJECTED)] for name in ("one", "many")]
    assert told[0] == told[1]
    without = run(tmp_path / "in.json", tmp_path / "without", partitions=2)
    assert {row["uid"] for row in all_records(tmp_path / "without")} == {
        *(row["uid"] for row in all_records(tmp_path / "one")),
        *(uid for uid, _ in told[0]),
    }
    assert without.rows.rejected["near_duplicate"] == 0
