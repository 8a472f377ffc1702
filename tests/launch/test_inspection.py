"""`vitrine inspect`: the page says what the manifest says, fits 80 columns and shows records without obeying them."""

import dataclasses
import json
from pathlib import Path

import pytest

from command.terminal import columns
from contract.manifest import Manifest, Source, publish, read_manifest, to_json
from launch import cli
from tests.contract.data_sets import DataSet, record, sound_data_set


@pytest.fixture(name="root", scope="module")
def _root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    sound_data_set().write(str(root))
    return root


def _page(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.main(["inspect", *argv]) == 0
    page = capsys.readouterr().out
    assert all(columns(line) <= 80 for line in page.splitlines())
    assert all(character.isprintable() or character == "\n" for character in page)
    return page


def test_the_page_says_what_the_manifest_says(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [line.split() for line in _page(capsys, str(root)).splitlines()]
    manifest = read_manifest(str(root))

    assert ["data", "set", manifest.dataset_id] in words
    assert ["made", manifest.created_at] in words
    assert ["in", "10,000", "100.00%"] in words
    assert ["kept", "7,000", "70.00%"] in words
    for reason, num in manifest.rows.rejected.items():
        assert ([reason, f"{num:,}", "5.00%"] in words) == (num > 0)
    for split, shards in manifest.splits.items():
        assert [split, f"{manifest.num_rows(split):,}", f"{len(shards)}"] in [line[:3] for line in words]
    assert ["/in/a.json", "1.0", "kB"] in words


@pytest.mark.parametrize(("split", "num"), [("train", 3), ("val", 1), ("test", 1_000_000)])
def test_the_first_records_of_a_split_are_shown(
    root: Path, split: str, num: int, capsys: pytest.CaptureFixture[str]
) -> None:
    page = _page(capsys, str(root), "--records", f"{num}", "--split", split)
    rows = sound_data_set().rows[split][:num]

    assert f"{split}, the first {len(rows):,} of" in page
    assert [line.split()[1] for line in page.splitlines() if line.startswith("uid ")] == [row["uid"] for row in rows]
    assert [line.split()[1] for line in page.splitlines() if line.startswith("key ")] == [
        row["key"].hex() for row in rows
    ]
    assert all(row["content"] in page for row in rows)


def test_json_is_the_manifest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(root), "--json"]) == 0
    assert capsys.readouterr().out == (root / "manifest.json").read_text()


def _hostile(root: Path) -> Manifest:
    """A data set full of what a terminal obeys, hides or shows wider than others."""
    nasty = "\x1b[2J\x1b]0;x\x07\u202e\u200b\x9b31m\r" + "茶" * 90
    manifest = DataSet({"train": [record(nasty, nasty, nasty)], "val": [], "test": [], "rejected": []}).write(str(root))
    manifest = dataclasses.replace(
        manifest,
        source=tuple(Source(f"/in/{nasty}{number}", 10**12, "") for number in range(40)),
        text_profile=nasty,
        created_at=nasty,
        config={nasty: nasty},
    )
    publish(str(root), manifest, replace=True)
    return manifest


def test_nothing_from_the_data_commands_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = _hostile(tmp_path)

    page = _page(capsys, str(tmp_path), "--records", "1")
    assert r"\x1b[2J" in page
    assert "… and 32 more" in page
    told = _page_of_json(capsys, str(tmp_path))
    assert json.loads(told) == json.loads(to_json(manifest))
    assert all(character.isprintable() or character == "\n" for character in told)
    assert cli.main(["verify", str(tmp_path)]) == 1
    assert all(character.isprintable() or character == "\n" for character in capsys.readouterr().out)


def test_settings_keep_their_accents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = sound_data_set().write(str(tmp_path))
    publish(str(tmp_path), dataclasses.replace(manifest, config={"content_field": "descrição"}), replace=True)

    assert 'content_field="descrição"' in _page(capsys, str(tmp_path))


def _page_of_json(capsys: pytest.CaptureFixture[str], root: str) -> str:
    assert cli.main(["inspect", root, "--json"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("argv", "message"), [(["--split", "dev"], "no split 'dev'"), ([], "cannot be read")])
def test_records_that_are_not_there_are_the_users_mistake(
    root: Path, tmp_path: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_bytes((root / "manifest.json").read_bytes())

    assert cli.main(["inspect", str(tmp_path), "--records", "1", *argv]) == 2
    assert message in capsys.readouterr().err
