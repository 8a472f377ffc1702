"""`vitrine verify`: one line and 0 where all is right, else every broken law by name and 1."""

import json
from pathlib import Path

import pytest

from contract.manifest import read_manifest
from contract.verify.findings import LAWS
from launch import cli
from tests.contract.data_sets import sound_data_set


def test_a_sound_data_set_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = sound_data_set().write(str(tmp_path))

    assert cli.main(["verify", str(tmp_path)]) == 0
    told = capsys.readouterr()
    (line,) = told.out.splitlines()
    assert f"data set {manifest.dataset_id} is sound: 7,000 records and 3,000 rejected lines" in line
    assert told.err.startswith("verify 7 files read in ")


def test_every_broken_law_is_told_by_name_with_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = sound_data_set()
    for row in range(7):
        data.rows["train"][row]["uid"] = ""
    shard = data.write(str(tmp_path)).splits["val"][0]
    (tmp_path / shard.path).unlink()
    (tmp_path / "notes.txt").write_text("mine")

    assert cli.main(["verify", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"NOT sound, 2 of {len(LAWS)} laws broken" in lines[0]
    assert f"uid: {LAWS['uid']} (7 times broken)" in lines
    assert "  … and 2 more" in lines
    assert lines[lines.index(f"  {shard.path}") + 1] == "    found     no such file"
    assert lines[-1] == "note: 'notes.txt': not of this data set"


@pytest.mark.parametrize("is_sound", [True, False])
def test_json_says_the_same_to_a_program(tmp_path: Path, is_sound: bool, capsys: pytest.CaptureFixture[str]) -> None:
    sound_data_set().write(str(tmp_path))
    manifest = read_manifest(str(tmp_path))
    if not is_sound:
        (tmp_path / manifest.splits["val"][0].path).write_bytes(b"")

    assert cli.main(["verify", str(tmp_path), "--json"]) == (0 if is_sound else 1)
    told = json.loads(capsys.readouterr().out)
    assert (told["is_sound"], told["dataset_id"]) == (is_sound, manifest.dataset_id)
    assert told["broken"] == ({} if is_sound else {"file": 1})
    assert [place["where"] for place in told["examples"]] == ([] if is_sound else [manifest.splits["val"][0].path])


def test_what_is_no_manifest_is_a_broken_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.json").write_text("{}")

    assert cli.main(["verify", str(tmp_path)]) == 1
    assert "not a manifest of vitrine/2" in capsys.readouterr().out
