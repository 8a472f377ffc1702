"""Row groups come as they were written or not at all, read ahead or not, and nothing is left when they are closed."""

import io
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import structs

from contract.columns import CONTENT, KEY, SHARD_SCHEMA, TITLE
from contract.errors import UserError
from contract.shard import FilePart, digest_of, shard_of
from tests.conftest import Prepared, made_up_pairs, write_data_set
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Unit, units_of
from trainer.shards.row_groups import DamagedShardError, RowGroups

GROUP_ROWS = 40


@pytest.fixture(name="data")
def _data(prepared: Prepared) -> DataSet:
    return DataSet(prepared.root, prepared.manifest)


def write_shard(root: Path, **options: object) -> DataSet:
    """A data set of one shard of 100 rows in three row groups; some titles repeat, so that dictionaries are of use."""
    pairs = made_up_pairs(100)
    manifest = write_data_set(root, pairs)
    columns = [
        [f"u{row}" for row in range(100)],
        [title if row % 3 else "Red Kettle" for row, (title, _) in enumerate(pairs)],
        [content for _, content in pairs],
        [row.to_bytes(16, "big") for row in range(100)],
    ]
    file = io.BytesIO()
    pq.write_table(pa.table(columns, schema=SHARD_SCHEMA), file, **{"row_group_size": GROUP_ROWS, **options})
    shard = shard_of(file.getvalue(), section="train", number=0, rows=100)
    (root / shard.path).write_bytes(file.getvalue())
    return DataSet(str(root), replace(manifest, splits={**manifest.splits, "train": (shard,)}))


PREPARED = {"compression": "zstd", "use_dictionary": False, "store_schema": False, "write_statistics": ["key"]}
# As preparation writes them, and without checksums of pages; as Arrow does by itself; with a column that begins by a
# dictionary and goes on without.
FORMS = {
    "prepared": {**PREPARED, "write_page_checksum": True},
    "without checksums": PREPARED,
    "arrow": {},
    "mixed": {"compression": "zstd", "dictionary_pagesize_limit": 200, "data_page_size": 400, "write_batch_size": 8},
    "plain": {"compression": "none", "use_dictionary": False, "write_page_index": True},
    "second": {"compression": "zstd", "data_page_version": "2.0"},
}


def whole(data: DataSet) -> pa.Table:
    """What is read of all units."""
    groups = RowGroups([data])
    return pa.concat_tables(groups.read(unit) for unit in units_of(data.rows))


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_those_that_pyarrow_reads(tmp_path: Path, form: str) -> None:
    data = write_shard(tmp_path, **FORMS[form])
    expected = pq.read_table(path_of(data), columns=[TITLE, CONTENT, KEY])
    groups = RowGroups([data])

    assert whole(data) == expected
    for first, rows in ((0, 1), (0, 40), (39, 2), (40, 40), (10, 90), (99, 1)):
        assert groups.read(Unit(0, 0, first, rows)) == expected.slice(first, rows)


def path_of(data: DataSet, shard: int = 0) -> Path:
    """Where a shard of the train split lies."""
    return Path(data.root) / data.manifest.splits["train"][shard].path


@pytest.mark.parametrize("form", FORMS)
def test_any_flipped_byte_is_found(tmp_path: Path, form: str) -> None:
    """Of a row group or of the footer; tests/test_damage.py has all bytes of a smaller shard."""
    data = write_shard(tmp_path, **FORMS[form])
    path, draw = path_of(data), random.Random(form)
    sound = path.read_bytes()
    for position in [0, len(sound) - 1, *draw.sample(range(len(sound)), 300)]:
        changed = bytearray(sound)
        changed[position] ^= draw.choice([1, 2, 4, 8, 16, 32, 64, 128, 255])
        path.write_bytes(changed)
        with pytest.raises(DamagedShardError, match=path.name):
            whole(data)


def flip(path: Path, position: int) -> None:
    """Changes one byte of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_a_shard_of_another_program_is_refused(tmp_path: Path) -> None:
    """Its digests are right, but it has other columns, or other row groups than the manifest says."""
    data = write_shard(tmp_path)
    (shard,) = data.manifest.splits["train"]
    file = io.BytesIO()
    pq.write_table(pa.table({"title": ["Mug"] * 100}), file)
    other = shard_of(file.getvalue(), section="train", number=0, rows=100)
    (tmp_path / other.path).write_bytes(file.getvalue())
    together = structs.replace(shard, row_groups=(shard_part(data, 0, 2), *shard.row_groups[2:]))
    for wrong, message in ((other, "found columns"), (together, "found 100 rows in 3 row groups, expected 100 in 2")):
        changed = replace(data, manifest=replace(data.manifest, splits={"train": (wrong,)}))
        with pytest.raises(DamagedShardError, match=rf"{wrong.path} is damaged: {message}"):
            whole(changed)


def shard_part(data: DataSet, first: int, stop: int) -> FilePart:
    """Several row groups of the shard as one part."""
    parts = data.manifest.splits["train"][0].row_groups[first:stop]
    content = path_of(data).read_bytes()[parts[0].offset : parts[-1].stop]
    return FilePart(parts[0].offset, len(content), digest_of(content))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.unlink(), "found no file"),
        (lambda path: (path.unlink(), path.mkdir()), "found a folder in its place, expected a file of [0-9]+ bytes"),
        (lambda path: path.write_bytes(b""), "found 0 bytes"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), r"found \d+ bytes, expected \d+"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), r"found \d+ bytes, expected \d+"),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), "found the footer with the digest"),
        (lambda path: flip(path, 0), "found row group 0 with the digest"),
        (lambda path: flip(path, path.stat().st_size - 6), "found the footer with the digest"),
    ],
)
def test_damage_is_told_with_what_to_do(tmp_path: Path, damage, told: str) -> None:
    data = write_shard(tmp_path)
    damage(path_of(data))

    with pytest.raises(
        DamagedShardError, match=rf"shard {path_of(data).relative_to(tmp_path)}.*{told}.*fetch the file again"
    ):
        whole(data)


@pytest.mark.parametrize("path", ["../outside.parquet", "/etc/passwd", "train/../../x", "s3://b/x", "C:\\x", ""])
def test_a_path_that_leads_out_of_the_data_set_is_refused(tmp_path: Path, path: str) -> None:
    data = write_shard(tmp_path)
    shard = structs.replace(data.manifest.splits["train"][0], path=path)
    data = replace(data, manifest=replace(data.manifest, splits={"train": (shard,)}))

    with pytest.raises(UserError, match="does not lie in its folder") as caught:
        whole(data)
    assert not isinstance(caught.value, DamagedShardError)


def test_a_data_set_that_is_gone_is_no_damaged_shard(tmp_path: Path) -> None:
    """Such as a disk that is not mounted any more: to skip all its records as damaged would be wrong."""
    data = write_shard(tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "elsewhere")

    with pytest.raises(UserError, match=r"manifest.json is not there any more") as caught:
        whole(data)
    assert not isinstance(caught.value, DamagedShardError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_shard_that_may_not_be_read_is_told_at_once(tmp_path: Path) -> None:
    data = write_shard(tmp_path)
    path_of(data).chmod(0)

    with pytest.raises(UserError, match="Permission denied") as caught:
        whole(data)
    assert not isinstance(caught.value, DamagedShardError)


def test_what_is_announced_is_what_is_read(data: DataSet) -> None:
    units = [Unit(0, shard, first, 10) for shard in range(3) for first in range(0, 100, 10)]
    groups, plain = RowGroups([data]), RowGroups([data])
    for unit in units:
        groups.announce(unit)
        groups.announce(unit)  # does nothing

    assert all(groups.read(unit) == plain.read(unit) for unit in units)
    assert groups._ahead == {}
    groups.close()


def test_an_announced_unit_that_is_damaged_is_told_when_it_is_read(tmp_path: Path) -> None:
    data = write_shard(tmp_path)
    path_of(data).unlink()
    groups = RowGroups([data])
    groups.announce(Unit(0, 0, 0, 40))

    for _ in range(2):
        with pytest.raises(DamagedShardError):
            groups.read(Unit(0, 0, 0, 40))
    groups.close()


def test_only_so_much_is_read_ahead(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.shards.row_groups._AHEAD_BYTES", 3 * data.manifest.splits["train"][0].bytes + 2)
    groups = RowGroups([data])
    units = [Unit(0, shard, first, 50) for shard in range(3) for first in (0, 50)]
    for unit in units:
        groups.announce(unit)

    assert len(groups._ahead) == 2
    assert sum(groups.read(unit).num_rows for unit in units) == 300
    groups.close()


def test_many_threads_read_one_shard_alike(tmp_path: Path) -> None:
    data = write_shard(tmp_path)
    groups, expected, wrong = RowGroups([data]), whole(data), []

    def read(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(100):
            first = draw.randrange(99)
            rows = draw.randint(1, 100 - first)
            if groups.read(Unit(0, 0, first, rows)) != expected.slice(first, rows):
                wrong.append((first, rows))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def num_threads() -> int:
    """Those of this module that are alive."""
    return sum(thread.name.startswith("row-groups") for thread in threading.enumerate())


def test_no_thread_outlives_its_row_groups(data: DataSet) -> None:
    groups = RowGroups([data])
    for shard in range(3):
        groups.announce(Unit(0, shard, 0, 100))
    assert num_threads()
    groups.close()

    assert not num_threads()


@pytest.mark.parametrize("is_daemon", [False, True])
@pytest.mark.parametrize("then", ["", "raise SystemExit(3)", "groups = None", "groups.close()"])
def test_the_interpreter_ends_while_storage_stumbles(data: DataSet, then: str, is_daemon: bool) -> None:
    """Without `close` as well: nobody waits for tries that nobody wants any more."""
    script = f"""
import threading
from contract.manifest import read_manifest
from trainer.shards import files
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Unit
from trainer.shards.row_groups import RowGroups

def read_part(*_):
    print("tried", flush=True)
    raise OSError(5, "Input/output error")

files.read_part = read_part
groups = RowGroups([DataSet({data.root!r}, read_manifest({data.root!r}))])

def begin():
    for shard in range(3):
        groups.announce(Unit(0, shard, 0, 100))

thread = threading.Thread(target=begin, daemon={is_daemon})
thread.start()
thread.join()
assert not any(each.daemon for each in threading.enumerate() if each.name == "row-groups")
{then}
"""
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert ended.returncode == (3 if "3" in then else 0), ended.stderr
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - began < 30
