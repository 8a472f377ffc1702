"""Shards have an exact number of rows, and their bytes do not tell how the rows were bucketed."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract import storage
from contract.columns import REJECTED, REJECTED_SCHEMA, ROW_GROUP_ROWS, SHARD_SCHEMA
from contract.names import SECTIONS
from contract.reasons import KEPT, REASON_CODE
from contract.shard import Shard
from spark_jobs.counts.records import KeptStatistics, ReadStatistics, merge_kept
from spark_jobs.rows import ROW_SCHEMA
from spark_jobs.shards import (
    FINAL_SCHEMAS,
    STAGED_SCHEMAS_WITH_ORIGIN,
    StagedBucket,
    StagedFile,
    TokenSampling,
    plan_shards,
    stage_bucket,
    write_shard,
)


def staged(bucket: int, files: dict[str, StagedFile]) -> StagedBucket:
    return StagedBucket(bucket=bucket, reasons={}, files=files, read=ReadStatistics(), kept=KeptStatistics())


def buckets_of(counts: list[int], section: str = "train") -> list[StagedBucket]:
    return [
        staged(number, {section: StagedFile(f"{number}", rows)} if rows else {}) for number, rows in enumerate(counts)
    ]


@pytest.mark.parametrize("shard_rows", [1, 2, 3, 10, 11, 100])
@pytest.mark.parametrize(
    "counts", [[], [0], [1], [10], [9], [11], [3, 0, 7], [10, 10], [1] * 21, [25, 5, 70], [0, 0, 100]]
)
def test_plans_cut_the_rows_in_order_into_exact_shards(counts: list[int], shard_rows: int) -> None:
    plans = plan_shards(buckets_of(counts)[::-1], shard_rows=shard_rows)
    sizes = [sum(part.num_rows for part in plan.slices) for plan in plans]
    full, rest = divmod(sum(counts), shard_rows)
    assert sizes == [shard_rows] * full + [rest] * bool(rest)
    assert [plan.number for plan in plans] == list(range(len(plans)))
    rows = [
        (part.name, row)
        for plan in plans
        for part in plan.slices
        for row in range(part.first, part.first + part.num_rows)
    ]
    assert rows == [(str(bucket), row) for bucket, count in enumerate(counts) for row in range(count)]


def test_sections_are_cut_apart() -> None:
    buckets = [
        staged(0, {name: StagedFile(name, 3) for name in SECTIONS}),
    ]
    plans = plan_shards(buckets, shard_rows=2)
    assert [(plan.section, plan.number) for plan in plans] == [(name, number) for name in SECTIONS for number in (0, 1)]


def rows(count: int) -> pa.Table:
    """Settled rows: four fifths kept and of these a tenth in val and a tenth in test, the others without content."""
    random = np.random.default_rng(1)
    keys = sorted(random.bytes(16) for _ in range(count))
    reasons = np.where(np.arange(count) % 5 == 3, REASON_CODE["no_content"], KEPT)
    return pa.table(
        [
            pa.array(keys, pa.binary(16)),
            [f"u{number}" for number in range(count)],
            pa.array(np.zeros(count), pa.int32()),
            pa.array(np.arange(count), pa.int64()),
            pa.array(reasons, pa.int8()),
            pa.array(np.where(np.arange(count) % 10 < 2, np.arange(count) % 10 + 1, 0), pa.int8()),
            [f"Title {number}" for number in range(count)],
            ["word " * (number % 300) for number in range(count)],
            [None if number % 2 else f"<b>Title {number}</b>" for number in range(count)],
            pa.array([None] * count, pa.binary()),
        ],
        schema=ROW_SCHEMA,
    )


def write_all(
    table: pa.Table, edges: list[int], output: Path | str, *, schemas: Mapping[str, pa.Schema] = FINAL_SCHEMAS
) -> list[Shard]:
    staging = f"{output}/.staging"
    buckets = [
        stage_bucket(
            table.slice(first, end - first).combine_chunks(),
            bucket=number,
            read=ReadStatistics(),
            schemas=schemas,
            staging=staging,
            sources=["in.json"],
        )
        for number, (first, end) in enumerate(pairwise(edges))
    ]
    plans = plan_shards(buckets, shard_rows=4_500)
    written = [write_shard(plan, output=str(output), staging=staging, tokens=TokenSampling()) for plan in plans]
    assert merge_kept(each.kept for each in written).title_lengths.num == sum(
        each.shard.rows for each in written if not each.shard.path.startswith(REJECTED)
    )
    return [each.shard for each in written]


def test_bytes_do_not_depend_on_the_buckets(tmp_path: Path) -> None:
    table = rows(12_000)
    shards = write_all(table, [0, 12_000], tmp_path / "one")
    assert shards == write_all(table, [0, 1, 1, 77, 2_500, 2_501, 9_000, 12_000], tmp_path / "many")
    assert shards == write_all(table, [0, 4_000, 12_000], tmp_path / "open", schemas=STAGED_SCHEMAS_WITH_ORIGIN)
    assert {shard.path.partition("/")[0] for shard in shards} == set(SECTIONS)


def test_an_object_store_gets_the_same_bytes(tmp_path: Path) -> None:
    table = rows(3_000)
    assert write_all(table, [0, 1_000, 3_000], "memory://out") == write_all(table, [0, 3_000], tmp_path)
    assert storage.list_files("memory://out/.staging")


def test_shards_hold_the_rows_in_order(tmp_path: Path) -> None:
    table = rows(12_000)
    shards = write_all(table, [0, 5_000, 12_000], tmp_path)
    expected = table.to_pylist()
    for number, split in enumerate(("train", "val", "test")):
        found = pa.concat_tables(
            [pq.read_table(tmp_path / shard.path) for shard in shards if shard.path.startswith(split)]
        )
        kept = [row for row in expected if row["reason"] == KEPT and row["split"] == number]
        assert found.to_pylist() == [{name: row[name] for name in SHARD_SCHEMA.names} for row in kept]
    found = pa.concat_tables(
        [pq.read_table(tmp_path / shard.path) for shard in shards if shard.path.startswith(REJECTED)]
    )
    assert found["title"].to_pylist() == [row["raw_title"] or row["title"] for row in expected if row["reason"] != KEPT]
    assert set(found["reason"].to_pylist()) == {"no_content"}


def test_a_shard_is_what_the_contract_says(tmp_path: Path) -> None:
    shards = write_all(rows(12_000), [0, 12_000], tmp_path)
    for shard in shards:
        file = pq.ParquetFile(tmp_path / shard.path, page_checksum_verification=True)
        expected = REJECTED_SCHEMA if shard.path.startswith(REJECTED) else SHARD_SCHEMA
        assert file.schema_arrow.equals(expected, check_metadata=True)
        assert file.read().num_rows == shard.rows
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        assert groups[:-1] == [ROW_GROUP_ROWS] * (len(groups) - 1)
        assert {file.metadata.row_group(0).column(n).compression for n in range(len(expected))} == {"ZSTD"}
        assert len(storage.read_bytes(f"{tmp_path}/{shard.path}")) == shard.bytes


def test_a_flipped_bit_in_a_page_is_noticed(tmp_path: Path) -> None:
    (shard, *_) = write_all(rows(500), [0, 500], tmp_path)
    data = bytearray((tmp_path / shard.path).read_bytes())
    data[len(data) // 3] ^= 1
    with pytest.raises(OSError, match="CRC checksum"):
        pq.ParquetFile(pa.BufferReader(bytes(data)), page_checksum_verification=True).read()
