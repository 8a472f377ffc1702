"""A manifest adds up, comes back as it was written, and appears in one step."""

import dataclasses
import json
from pathlib import Path

import pytest

from contract.errors import UserError
from contract.manifest import (
    Manifest,
    Rows,
    Shard,
    Source,
    find_manifest,
    from_json,
    publish,
    read_manifest,
    to_json,
)
from contract.names import MANIFEST_NAME
from contract.reasons import REASONS


def _manifest(**changes: object) -> Manifest:
    manifest = Manifest(
        source=(Source("trn.json", 1_000, "2026-01-01"),),
        text_profile="seed",
        config={"seed": 0},
        rows=Rows(10, 6, dict.fromkeys(REASONS, 0) | {"duplicate": 3, "not_json": 1}),
        splits={
            "train": (
                Shard("train/part-00000-aa.parquet", 4, 40, "aa"),
                Shard("train/part-00001-bb.parquet", 1, 9, "bb"),
            ),
            "val": (Shard("val/part-00000-cc.parquet", 1, 10, "cc"),),
            "test": (),
        },
        rejected=(Shard("rejected/part-00000-dd.parquet", 4, 20, "dd"),),
        created_at="2026-01-01T00:00:00+00:00",
    )
    return dataclasses.replace(manifest, **changes)


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    publish(str(tmp_path), _manifest(), replace=False)

    assert read_manifest(str(tmp_path)) == _manifest()
    document = json.loads((tmp_path / MANIFEST_NAME).read_text())
    assert document["rows"]["in"] == document["rows"]["kept"] + sum(document["rows"]["rejected"].values())
    assert document["splits"]["train"]["rows"] == 5


def test_dataset_id_follows_the_shards_and_nothing_else() -> None:
    same = _manifest(created_at="later", source=(), config={"seed": 1})
    swapped = _manifest().splits | {"train": tuple(reversed(_manifest().splits["train"]))}

    assert same.dataset_id == _manifest().dataset_id
    assert _manifest(splits=swapped).dataset_id != _manifest().dataset_id


def test_every_broken_law_is_named() -> None:
    with pytest.raises(UserError, match=r"11 rows in, but 6 kept \+ 4 rejected"):
        _manifest(rows=Rows(11, 6, {"duplicate": 4})).check()
    with pytest.raises(UserError, match=r"7 rows kept, but the splits hold.*; 3 rows rejected, but rejected/ holds 4"):
        _manifest(rows=Rows(10, 7, {"duplicate": 3})).check()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', "not json"])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="not a manifest"):
        from_json(text)


def test_a_manifest_whose_id_does_not_fit_its_shards_is_refused() -> None:
    text = to_json(_manifest()).replace('"sha256": "aa"', '"sha256": "ee"')

    with pytest.raises(UserError, match="but its shards give"):
        from_json(text)


def test_a_folder_without_manifest_is_no_data_set(tmp_path: Path) -> None:
    assert find_manifest(str(tmp_path)) is None
    with pytest.raises(UserError, match=r"no manifest.json in .*vitrine prepare"):
        read_manifest(str(tmp_path))


def test_the_second_of_two_publications_is_told(tmp_path: Path) -> None:
    publish(str(tmp_path), _manifest(), replace=False)

    with pytest.raises(FileExistsError):
        publish(str(tmp_path), _manifest(), replace=False)
    publish(str(tmp_path), _manifest(created_at="later"), replace=True)
    assert read_manifest(str(tmp_path)).created_at == "later"
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_NAME]


def test_a_split_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="no split 'dev'"):
        _manifest().num_rows("dev")
