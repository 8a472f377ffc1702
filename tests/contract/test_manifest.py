"""A manifest adds up, comes back as it was written, and appears in one step."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.errors import UserError
from contract.manifest import (
    FORMAT,
    Manifest,
    RowCounts,
    Source,
    find_manifest,
    from_json,
    publish,
    read_manifest,
    to_json,
    with_digest,
)
from contract.names import MANIFEST_NAME
from contract.reasons import REASONS
from tests.contract.data_sets import shard_without_file


def _manifest(**changes: object) -> Manifest:
    manifest = Manifest(
        source=(Source("trn.json", 1_000, "2026-01-01"),),
        text_profile="seed",
        config={"seed": 0},
        rows=RowCounts(10, 6, dict.fromkeys(REASONS, 0) | {"duplicate": 3, "not_json": 1}),
        splits={
            "train": (
                shard_without_file("train/part-00000-aa.parquet", rows=4, bytes=40, sha256="aa"),
                shard_without_file("train/part-00001-bb.parquet", rows=1, bytes=9, sha256="bb"),
            ),
            "val": (shard_without_file("val/part-00000-cc.parquet", rows=1, bytes=10, sha256="cc"),),
            "test": (),
        },
        rejected=(shard_without_file("rejected/part-00000-dd.parquet", rows=4, bytes=20, sha256="dd"),),
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
        _manifest(rows=RowCounts(11, 6, {"duplicate": 4})).check()
    with pytest.raises(UserError, match=r"7 rows kept, but the splits hold.*; 3 rows rejected, but rejected/ holds 4"):
        _manifest(rows=RowCounts(10, 7, {"duplicate": 3})).check()


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"format": 1}', b"not json", with_digest({"format": FORMAT})])
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(UserError, match="not a manifest"):
        from_json(text)


def test_a_manifest_whose_id_does_not_fit_its_shards_is_refused() -> None:
    with pytest.raises(UserError, match="but its shards give"):
        from_json(_edited(lambda document: document["splits"]["train"]["shards"][0].update(sha256="ee")))


def _edited(edit: Callable[[dict[str, Any]], object]) -> bytes:
    """The text of a manifest after this change of what it says."""
    document = json.loads(to_json(_manifest()))
    del document["sha256"]
    edit(document)
    return with_digest(document)


@pytest.mark.parametrize("name", ["offset", "length"])
def test_parts_that_do_not_cover_their_shard_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"footer of train/part-00000-aa.parquet do not cover its 40 bytes"):
        from_json(_edited(lambda document: document["splits"]["train"]["shards"][0]["footer"].update({name: 7})))


def test_a_value_of_another_type_is_named_with_its_path() -> None:
    with pytest.raises(UserError, match=r"Expected `int`, got `str` - at `\$.rows.kept`"):
        from_json(_edited(lambda document: document["rows"].update(kept="6")))
    with pytest.raises(UserError, match=r">= 0.*shards\[0\].bytes"):
        from_json(_edited(lambda document: document["rejected"]["shards"][0].update(bytes=-1)))


def test_a_manifest_of_the_first_format_is_to_be_prepared_again(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text(json.dumps({"format": "vitrine/1", "dataset_id": "0" * 32}, indent=1))

    with pytest.raises(UserError, match=r"manifest.json: .*format is vitrine/1; prepare the data set again"):
        read_manifest(str(tmp_path))


def test_the_first_line_is_the_digest_of_the_other_lines() -> None:
    first, _, others = to_json(_manifest()).partition(b"\n")

    assert first == b'{"sha256": "%s",' % hashlib.sha256(others).hexdigest().encode()


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
