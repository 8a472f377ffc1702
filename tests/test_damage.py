"""Any changed byte of a data set is found, by each program that reads it and by `verify`, and its file is named."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contract.columns import REJECTED
from contract.errors import UserError
from contract.manifest import find_manifest, read_manifest
from contract.names import MANIFEST_NAME
from contract.verify.data_set import verify
from contract.verify.file import check_file
from contract.verify.manifest import rules_of
from launch.inspection import InspectConfig
from launch.inspection import run as inspect
from tests.contract.data_sets import SOUND, DataSet
from trainer.plan import data_sets
from trainer.plan.order import units_of
from trainer.shards.row_groups import DamagedShardError, RowGroups

LETTER_CASE = 0x20


@pytest.fixture(name="root", scope="module")
def _root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound: a shard of the train split and one of rejected lines, each of some KB. As it was after each test."""
    root = tmp_path_factory.mktemp("data")
    rows = {section: rows[:2] if section in ("train", REJECTED) else [] for section, rows in SOUND.rows.items()}
    DataSet(rows).write(str(root))
    return root


def train(root: Path) -> None:
    """Reads all that training reads."""
    data = data_sets.open_data([str(root)])
    groups = RowGroups(data)
    for unit in units_of(data[0].rows):
        groups.read(unit)


def damaged_files(root: Path) -> set[tuple[str, str]]:
    """Each broken law and the file that breaks it."""
    return {(example.law, example.where) for example in verify(str(root)).findings.examples}


@contextmanager
def changed(path: Path, data: bytes) -> Iterator[None]:
    """The file with these bytes for a while."""
    sound = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(sound)


def flipped(data: bytes, *, bits: int) -> Iterator[bytes]:
    """The same bytes with one changed, for each of them."""
    for position, byte in enumerate(data):
        yield data[:position] + bytes([byte ^ bits]) + data[position + 1 :]


def test_a_sound_data_set_is_read_by_all(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(root)
    assert inspect(InspectConfig(data=str(root), records=2)) == 0
    assert capsys.readouterr().out.count("\ntitle ") == 2
    assert damaged_files(root) == set()


def test_every_flipped_byte_of_a_shard_is_found(root: Path) -> None:
    (shard,) = read_manifest(str(root)).splits["train"]
    path = root / shard.path
    for data in flipped(path.read_bytes(), bits=1):
        with changed(path, data):
            with pytest.raises(DamagedShardError, match=shard.path):
                train(root)
            with pytest.raises(UserError, match=shard.path):
                inspect(InspectConfig(data=str(root), records=2))
            assert damaged_files(root) == {("file", shard.path)}


def test_every_flipped_byte_of_rejected_lines_is_found(root: Path) -> None:
    manifest = read_manifest(str(root))
    (shard,) = manifest.rejected
    path = root / shard.path
    for data in flipped(path.read_bytes(), bits=128):
        with changed(path, data):
            checked = check_file(str(root), shard, section=REJECTED, rules=rules_of(manifest))
        assert [(example.law, example.where) for example in checked.findings.examples] == [("file", shard.path)]


READERS: dict[str, Callable[[Path], object]] = {
    "training": train,
    "preparation": lambda root: find_manifest(str(root)),
    "inspect": lambda root: inspect(InspectConfig(data=str(root))),
}


@pytest.mark.parametrize("bits", [1, LETTER_CASE])
def test_every_flipped_byte_of_the_manifest_is_found(root: Path, bits: int) -> None:
    for data in flipped((root / MANIFEST_NAME).read_bytes(), bits=bits):
        with changed(root / MANIFEST_NAME, data):
            for read in READERS.values():
                with pytest.raises(UserError, match=re.escape(str(root / MANIFEST_NAME))):
                    read(root)
            assert damaged_files(root) == {("manifest", MANIFEST_NAME)}


@pytest.mark.parametrize("name", [MANIFEST_NAME, "shard"])
@pytest.mark.parametrize(
    "change",
    [lambda data: data[:-1], lambda data: data[: len(data) // 2], lambda _: b"", lambda data: data + b" "],
    ids=["a byte less", "half", "empty", "a byte more"],
)
def test_a_file_of_another_length_is_found(root: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    law, name = (
        ("manifest", name) if name == MANIFEST_NAME else ("file", read_manifest(str(root)).splits["train"][0].path)
    )
    with changed(root / name, change((root / name).read_bytes())):
        with pytest.raises(UserError, match=re.escape(name)):
            train(root)
        assert damaged_files(root) == {(law, name)}


def test_two_shards_that_changed_places_are_found(tmp_path: Path) -> None:
    """Of the same length, too: nothing but their bytes tells them apart."""
    SOUND.write(str(tmp_path))
    shards = [tmp_path / shard.path for shard in read_manifest(str(tmp_path)).splits["train"][:2]]
    shutil.move(shards[0], tmp_path / "first")
    os.replace(shards[1], shards[0])
    shutil.move(tmp_path / "first", shards[1])

    with pytest.raises(DamagedShardError, match=re.escape(str(shards[0].relative_to(tmp_path)))):
        train(tmp_path)
    assert damaged_files(tmp_path) == {("file", str(path.relative_to(tmp_path))) for path in shards}
