"""The same lines give the same data set, whatever they come in and however the work is cut."""

import bz2
import gzip
import random
from pathlib import Path

import pyarrow as pa
import pytest

from contract.columns import REJECTED
from contract.manifest import Manifest
from tests.spark_jobs import nasty
from tests.spark_jobs.catalogues import catalogue, records, write
from tests.spark_jobs.conftest import Prepare
from tests.spark_jobs.processes import KILLS

pytestmark = pytest.mark.spark


def as_one_file(folder: Path, lines: list[bytes]) -> Path:
    return write(folder / "in.json", lines)


def as_40_files_in_another_order(folder: Path, lines: list[bytes]) -> Path:
    lines = random.Random(1).sample(lines, len(lines))
    for number, name in enumerate(("b.json", "a_.json", "c.json.x", *(f"d/{number}" for number in range(37)))):
        write(folder / "in" / name, lines[number::40])
    return folder / "in"


def as_array(folder: Path, lines: list[bytes]) -> Path:
    return write(folder / "in.json", [b"[", b",\n".join(lines), b"]"])


def as_gzip(folder: Path, lines: list[bytes]) -> Path:
    (folder / "in.json.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    return folder / "in.json.gz"


def as_zstd(folder: Path, lines: list[bytes]) -> Path:
    with pa.CompressedOutputStream(str(folder / "in.json.zst"), "zstd") as file:
        file.write(b"\n".join(lines))
    return folder / "in.json.zst"


def as_bzip2(folder: Path, lines: list[bytes]) -> Path:
    (folder / "in.json.bz2").write_bytes(bz2.compress(b"\n".join(lines)))
    return folder / "in.json.bz2"


def shards_of(manifest: Manifest) -> dict[str, list[str]]:
    return {split: [shard.sha256 for shard in shards] for split, shards in manifest.splits.items()}


@pytest.fixture(scope="module")
def one_answer() -> dict[str, dict]:
    """What the first run said, for the others to agree with."""
    return {}


@pytest.mark.parametrize(
    ("write_input", "partitions", "master"),
    [
        (as_one_file, None, "local[2]"),
        (as_one_file, 1, "local[2]"),
        (as_one_file, 50, "local[2]"),
        pytest.param(
            *(as_one_file, 300, "local[2]"),
            marks=pytest.mark.skipif(KILLS == 1, reason="takes half a minute: where VITRINE_KILLS is over 1"),
        ),
        (as_gzip, 3, "local[2]"),
        (as_zstd, 2, "local[2]"),
        (as_bzip2, 5, "local[2]"),
        (as_array, 5, "local[2]"),
        (as_one_file, 3, "local[1]"),
        (as_40_files_in_another_order, 3, "local[1]"),
    ],
)
def test_one_answer(
    run: Prepare,
    tmp_path: Path,
    one_answer: dict[str, dict],
    monkeypatch: pytest.MonkeyPatch,
    write_input: object,
    partitions: int | None,
    master: str,
) -> None:
    monkeypatch.setattr("spark_jobs.input.parts.MIN_RANGE_BYTES", 10_000)  # so that a small file has several ranges
    lines = catalogue(1_000) + [line for line, reason in nasty.NASTY.values() if reason in ("no_title", nasty.KEPT)]
    source = write_input(tmp_path, lines)  # type: ignore[operator]
    manifest = run(source, tmp_path / "out", master=master, partitions=partitions, shard_rows=70)
    answer = {"id": manifest.dataset_id, "shards": shards_of(manifest), "counts": dict(manifest.rows.rejected)}
    assert one_answer.setdefault("answer", answer) == answer
    if write_input is as_one_file:
        rejected = [
            {name: value for name, value in row.items() if name != "source"}
            for row in records(tmp_path / "out", REJECTED)
        ]
        assert one_answer.setdefault("rejected", {"rows": rejected}) == {"rows": rejected}
