"""Settling of a bucket, and the way of rows through pieces."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.reasons import KEPT, REASON_CODE
from spark_jobs import buckets
from spark_jobs.buckets import bucket_of, pieces_of_rows, rows_of_pieces, sort_and_mark_duplicates
from spark_jobs.counts.records import ReadStatistics
from spark_jobs.rows import ROW_SCHEMA


def row(start_of_key: bytes, uid: str | None, source: int, offset: int) -> dict:
    key = start_of_key.ljust(16, b"\0")
    return {
        "key": key,
        "uid": uid,
        "source": source,
        "offset": offset,
        "reason": KEPT,
        "split": 0,
        "title": "T",
        "content": key.hex(),
        "raw_title": None,
        "raw": None,
    }


def table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, ROW_SCHEMA)


def lines_read(count: int) -> ReadStatistics:
    return ReadStatistics(num_lines=count)


ROWS = st.lists(
    st.builds(row, st.binary(max_size=1), st.sampled_from(["a", "b", "é"]), st.integers(0, 1), st.integers(0, 3)),
    max_size=30,
)


def reference(rows: list[dict]) -> list[dict]:
    """Sorted, all but the first of each key a duplicate without content."""
    rows = sorted(rows, key=lambda row: (row["key"], row["uid"].encode(), row["source"], row["offset"]))
    seen: set[bytes] = set()
    settled = []
    for found in rows:
        is_first = found["key"] not in seen
        seen.add(found["key"])
        settled.append(found if is_first else found | {"reason": REASON_CODE["duplicate"], "content": ""})
    return settled


@settings(deadline=None)
@given(ROWS)
def test_settle_agrees_with_the_reference(rows: list[dict]) -> None:
    assert sort_and_mark_duplicates(table(rows)).to_pylist() == reference(rows)


@settings(deadline=None)
@given(ROWS, st.integers(0, 30))
def test_settling_parts_first_changes_nothing(rows: list[dict], cut: int) -> None:
    parts = pa.concat_tables([sort_and_mark_duplicates(table(rows[:cut])), sort_and_mark_duplicates(table(rows[cut:]))])
    assert sort_and_mark_duplicates(parts).to_pylist() == reference(rows)


@pytest.mark.parametrize("num_buckets", [1, 2, 3, 50, 4096])
def test_buckets_are_equal_ranges_of_keys(num_buckets: int) -> None:
    words = np.sort(np.random.default_rng(0).integers(0, 2**64 - 1, 100_000, np.uint64, endpoint=True))
    found = bucket_of(words, num_buckets)
    assert (np.diff(found) >= 0).all()
    assert found[0] == 0
    assert found[-1] == num_buckets - 1
    counts = np.bincount(found, minlength=num_buckets)
    mean = len(words) / num_buckets
    assert abs(counts - mean).max() < 6 * mean**0.5 + 1


@settings(deadline=None)
@given(ROWS, st.integers(1, 5), st.integers(1, 2000))
def test_pieces_carry_each_row_and_the_statistics_once(rows: list[dict], num_buckets: int, flush_bytes: int) -> None:
    batches = [(batch, lines_read(batch.num_rows)) for batch in table(rows).to_batches(max_chunksize=3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "FLUSH_BYTES", flush_bytes)
        pieces = list(pieces_of_rows(batches, num_buckets=num_buckets, first_bucket=num_buckets - 1))
    random.Random(0).shuffle(pieces)  # a shuffle keeps no order
    found, num_lines = [], 0
    for bucket in range(num_buckets):
        of_bucket, read = rows_of_pieces(piece for piece in pieces if piece["bucket"][0].as_py() == bucket)
        found += sort_and_mark_duplicates(of_bucket).to_pylist()
        num_lines += read.num_lines
    assert found == reference(rows)
    assert num_lines == len(rows)


def test_a_key_that_repeats_sends_its_content_once_a_flush() -> None:
    rows = table([row(b"k", f"{number}", 0, number) | {"content": "x" * 10_000} for number in range(1_000)])
    batches = [(batch, lines_read(batch.num_rows)) for batch in rows.to_batches()]
    pieces = list(pieces_of_rows(batches, num_buckets=1, first_bucket=0))
    assert sum(piece.nbytes for piece in pieces) < 50_000


def test_rows_of_pieces_may_lie_in_files_that_all_tasks_can_read(tmp_path: Path) -> None:
    rows = [row(bytes([number * 37 % 256]), f"{number}", 0, number) for number in range(200)]
    batches = [(batch, lines_read(batch.num_rows)) for batch in table(rows).to_batches(max_chunksize=30)]
    inline = list(pieces_of_rows(batches, num_buckets=3, first_bucket=0))
    filed = list(pieces_of_rows(batches, num_buckets=3, first_bucket=0, folder=str(tmp_path)))
    assert all(piece.nbytes < 400 for piece in filed)
    for bucket in range(3):
        of_bucket = [[piece for piece in pieces if piece["bucket"][0].as_py() == bucket] for pieces in (inline, filed)]
        assert rows_of_pieces(of_bucket[0]) == rows_of_pieces(of_bucket[1])
