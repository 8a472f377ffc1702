"""The data sets of the parts: together each record exactly once, each of them sound, and the same whatever happens."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from contract.columns import SPLITS
from contract.errors import UserError
from contract.keys import part_of
from contract.manifest import Manifest, read_manifest
from contract.verify.data_set import verify
from tests.contract.data_sets import SOUND
from tests.trainer.audits import damage_shard
from trainer.parts.data import write_parts
from trainer.parts.manifest import part_data
from trainer.plan.data_sets import open_data

Row = tuple[str, str, str, bytes]


def rows_of(root: Path, manifest: Manifest, split: str) -> list[Row]:
    """All columns of a split, in order."""
    files = [root / shard.path for shard in manifest.splits[split]]
    return [tuple(row.values()) for file in files for row in pq.read_table(file).to_pylist()]


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """7,000 records, two of each title, in shards of 2,500."""
    root = tmp_path_factory.mktemp("whole")
    SOUND.write(str(root))
    return root


@pytest.mark.parametrize("parts", [2, 3, 50])
def test_parts_hold_each_record_of_every_split_once_and_in_order(whole: Path, tmp_path: Path, parts: int) -> None:
    write_parts(open_data([str(whole)]), tmp_path, parts=parts)

    roots = [part_data(tmp_path, part, 0) for part in range(parts)]
    for split in SPLITS:
        everything = rows_of(whole, read_manifest(str(whole)), split)
        expected: list[list[Row]] = [[] for _ in roots]
        for row in everything:
            expected[part_of(row[1], parts)].append(row)

        assert [rows_of(root, read_manifest(str(root)), split) for root in roots] == expected


def test_the_data_set_of_a_part_keeps_every_law_and_is_the_same_each_time(whole: Path, tmp_path: Path) -> None:
    """Also where a part fills several shards: of 2,500 rows, as those of the whole."""
    first = write_parts(open_data([str(whole)]), tmp_path / "first", parts=2)
    again = write_parts(open_data([str(whole)]), tmp_path / "again", parts=2)

    assert first == again
    assert [len(manifest.splits["train"]) for (manifest,) in first] == [2, 2]
    for part in range(2):
        report = verify(str(part_data(tmp_path / "first", part, 0)))
        assert report.is_sound, report.findings
        assert not report.notes


def test_a_limit_divides_the_first_records(prepared, tmp_path: Path) -> None:
    manifests = write_parts(open_data([prepared.root], limit=60), tmp_path, parts=3)

    rows = [
        row
        for part, (manifest,) in enumerate(manifests)
        for row in rows_of(part_data(tmp_path, part, 0), manifest, "train")
    ]
    assert sorted(row[0] for row in rows) == sorted(f"train0-{row}" for row in range(60))
    assert sum(manifest.num_rows("val") for (manifest,) in manifests) == 7


def test_several_data_sets_are_divided_alike(prepared, other_prepared, tmp_path: Path) -> None:
    """A title's records of both data sets are in one part."""
    manifests = write_parts(open_data([prepared.root, other_prepared.root]), tmp_path, parts=2)

    assert [sum(of_part[source].num_rows("train") for of_part in manifests) for source in (0, 1)] == [300, 20]
    for part in range(2):
        for source in (0, 1):
            rows = rows_of(part_data(tmp_path, part, source), manifests[part][source], "train")
            assert {part_of(title, 2) for _, title, _, _ in rows} == {part}


def test_an_empty_part_is_refused(prepared, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"parts = 100: \d of them would have none of the 300 records of .*smaller"):
        write_parts(open_data([prepared.root]), tmp_path, parts=100)


def test_damaged_records_stop_it_or_are_in_no_part_and_counted(
    prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(prepared.root, root)
    shard = damage_shard(root, prepared.manifest, "flipped")
    with pytest.raises(UserError, match=shard):
        write_parts(open_data([str(root)]), tmp_path / "parts", parts=2)

    manifests = write_parts(open_data([str(root)]), tmp_path / "parts", parts=2, skip_damaged=True)
    assert sum(manifest.num_rows("train") for (manifest,) in manifests) == 200
    assert "100 records could not be read and are in no part\n" in capsys.readouterr().out
