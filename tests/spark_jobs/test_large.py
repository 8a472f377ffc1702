"""One key over and over, and lines of many megabytes: neither stalls a job, nor takes all memory.

The full size, a million records and 50 MB, where VITRINE_LARGE=1 asks for it.
"""

import os
import sys
from pathlib import Path
from typing import Final

import pytest

from bench.process_tree import measure
from contract.manifest import Manifest, read_manifest
from tests.spark_jobs import nasty
from tests.spark_jobs.catalogues import all_records, catalogue, check_files, write
from tests.spark_jobs.conftest import Prepare
from tests.spark_jobs.processes import IS_LINUX, ROOT

MIB: Final = 2**20
_MOST_BYTES: Final = 3 * 2**30
_MOST_S: Final = 120.0

pytestmark = pytest.mark.spark
is_large = pytest.mark.skipif(
    not (IS_LINUX and os.environ.get("VITRINE_LARGE")), reason="takes a minute and 3 GiB: where VITRINE_LARGE is set"
)


def same_records(count: int) -> list[bytes]:
    return [nasty.line(uid=f"{number:07d}", content="The same. " * 20) for number in range(count)]


def with_a_long_line(num_bytes: int) -> list[bytes]:
    """Products, and among them one whose content needs all that cleaning can do."""
    text = "Tea & café <b>mug</b> &eacute;\u0301 “quoted” naÃ¯ve. "
    lines = catalogue(2_000)
    content = "".join(f"{text}{number} " for number in range(num_bytes // len(text)))
    lines.insert(1_000, nasty.line(uid="long", title="Long mug", content=content))
    return lines


def prepare_within_limits(source: Path, output: Path, *options: str) -> Manifest:
    command = [sys.executable, "-m", "spark_jobs.prepare", "--input", str(source), "--output", str(output)]
    usage = measure([*command, "--master", "local[2]", *options], cwd=ROOT)
    print(f"{source.name} {options}: {usage.wall_s:.1f} s, at most {usage.peak_memory_bytes / MIB:.0f} MiB")
    assert usage.exit_code == 0, usage.output
    assert usage.wall_s < _MOST_S
    assert usage.peak_memory_bytes < _MOST_BYTES
    manifest = read_manifest(str(output))
    check_files(output, manifest)
    return manifest


def test_a_key_that_repeats_ten_thousand_times(run: Prepare, tmp_path: Path) -> None:
    manifest = run(write(tmp_path / "in.json", same_records(10_000)), tmp_path / "out", shard_rows=4_000)
    assert (manifest.rows.kept, manifest.rows.rejected["duplicate"]) == (1, 9_999)
    assert [record["uid"] for record in all_records(tmp_path / "out")] == ["0000000"]


@is_large
def test_a_key_that_repeats_a_million_times(tmp_path: Path) -> None:
    source = write(tmp_path / "in.json", same_records(1_000_000))
    manifest = prepare_within_limits(source, tmp_path / "out")
    assert (manifest.rows.kept, manifest.rows.rejected["duplicate"]) == (1, 999_999)
    assert [record["uid"] for record in all_records(tmp_path / "out")] == ["0000000"]


@pytest.mark.parametrize(("max_line_bytes", "num_kept"), [(4 * MIB, 1_800), (16 * MIB, 1_801)])
def test_a_line_of_megabytes(run: Prepare, tmp_path: Path, max_line_bytes: int, num_kept: int) -> None:
    source = write(tmp_path / "in.json", with_a_long_line(5 * MIB))
    manifest = run(source, tmp_path / "out", max_line_bytes=max_line_bytes, shard_rows=1_000)
    assert (manifest.rows.kept, manifest.rows.rejected["too_long"]) == (num_kept, 1_801 - num_kept)


@is_large
@pytest.mark.parametrize("profile", ["seed", "natural"])
@pytest.mark.parametrize(("max_line_bytes", "is_kept"), [(4 * MIB, False), (64 * MIB, True)])
def test_a_line_of_50_megabytes(tmp_path: Path, profile: str, max_line_bytes: int, is_kept: bool) -> None:
    source = write(tmp_path / "in.json", with_a_long_line(35 * 10**6))  # escaped by JSON
    assert source.stat().st_size > 50 * 10**6
    options = ["--max-line-bytes", str(max_line_bytes), "--text-profile", profile, "--no-drop-repeated-phrases"]
    manifest = prepare_within_limits(source, tmp_path / "out", *options)
    assert manifest.rows.rejected["too_long"] == (not is_kept)
    assert any(record["uid"] == "long" for record in all_records(tmp_path / "out")) or not is_kept
