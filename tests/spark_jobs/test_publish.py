"""Publication and sweeping, without Spark."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from command.settings import settings_of_result
from contract import storage
from contract.errors import UserError
from contract.manifest import Manifest, RowCounts, Source, find_manifest, publish, read_manifest
from contract.names import CARD_HTML, CARD_JSON
from spark_jobs import publish as publishing
from spark_jobs.config import PrepareConfig
from spark_jobs.publish import delete_staging, has_card, is_up_to_date, publish_over, refuse_to_replace, sweep
from tests.contract.data_sets import shard_without_file

SOURCES = (Source("in.json", 3, "now"),)


def make(output: Path, mark: str, *, created_at: str = "2026-01-01", write_to: str = "") -> Manifest:
    """A data set of one record whose shard is there, not yet published."""
    path = f"train/part-00000-{mark * 8}.parquet"
    storage.write_bytes(storage.join(write_to or str(output), path), b"PAR1")
    return Manifest(
        source=SOURCES,
        text_profile="seed",
        config=settings_of_result(PrepareConfig(input="in.json", output=str(output))),
        rows=RowCounts(1, 1, {}),
        splits={"train": (shard_without_file(path, rows=1, bytes=4, sha256=mark * 64),), "val": (), "test": ()},
        rejected=(),
        created_at=created_at,
    )


def write(path: Path, *, age_s: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PAR1")
    if age_s:
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age_s))
    return path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_publish_over_nothing(tmp_path: Path) -> None:
    manifest = make(tmp_path, "a")
    publish_over(None, manifest, output=str(tmp_path))
    assert read_manifest(str(tmp_path)) == manifest


def test_publish_over_what_was_found(tmp_path: Path) -> None:
    publish_over(None, make(tmp_path, "a"), output=str(tmp_path))
    found = find_manifest(str(tmp_path))
    publish_over(found, make(tmp_path, "b"), output=str(tmp_path))
    assert read_manifest(str(tmp_path)).splits["train"][0].sha256 == "b" * 64


@pytest.mark.parametrize("found_one_at_start", [False, True])
def test_another_that_published_meanwhile_is_left_alone(tmp_path: Path, found_one_at_start: bool) -> None:
    found = None
    if found_one_at_start:
        publish_over(None, make(tmp_path, "a"), output=str(tmp_path))
        found = find_manifest(str(tmp_path))
    theirs = make(tmp_path, "b")
    publish(str(tmp_path), theirs, replace=True)
    before = files(tmp_path)
    write(tmp_path / "train/part-00001-dddddddd.parquet")  # of a third job, at work
    with pytest.raises(UserError, match="another preparation has published"):
        publish_over(found, make(tmp_path, "c"), output=str(tmp_path))
    assert read_manifest(str(tmp_path)) == theirs
    assert files(tmp_path) == before | {"train/part-00001-dddddddd.parquet"}


def test_a_shard_that_both_have_written_stays_with_the_winner(tmp_path: Path) -> None:
    theirs = make(tmp_path, "b")
    publish(str(tmp_path), theirs, replace=False)
    with pytest.raises(UserError, match="another preparation has published"):
        publish_over(None, make(tmp_path, "b", created_at="2026-01-02"), output=str(tmp_path))
    assert files(tmp_path) == set(theirs.files())


def test_another_that_publishes_at_the_last_moment_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = make(tmp_path, "b")
    publish(str(tmp_path), theirs, replace=False)
    monkeypatch.setattr(publishing, "find_manifest", lambda _: None)  # it was not there when we looked
    with pytest.raises(UserError, match="another preparation has published"):
        publish_over(None, make(tmp_path, "c"), output=str(tmp_path))
    assert read_manifest(str(tmp_path)) == theirs


def test_a_data_set_with_a_missing_shard_is_not_published(tmp_path: Path) -> None:
    manifest = make(tmp_path, "a")
    (tmp_path / manifest.splits["train"][0].path).unlink()
    with pytest.raises(UserError, match=r"1 shard\(s\) vanished.*part-00000-aaaaaaaa"):
        publish_over(None, manifest, output=str(tmp_path))
    assert find_manifest(str(tmp_path)) is None


def test_sweep_deletes_what_no_manifest_names_and_nothing_else(tmp_path: Path) -> None:
    manifest = make(tmp_path, "a")
    stale = [
        ".staging-0123abcd/000001-ff-train.arrow",
        "train/part-00000-bbbbbbbb.parquet",
        "val/part-00003-cccccccc.parquet",
        "rejected/part-123456-dddddddd.parquet",
        "train/.part-00000-bbbbbbbb.parquet.x7.tmp",
        ".manifest.json.q1.tmp",
    ]
    foreign = ["notes.txt", "train/mine.parquet", "card.txt", "other/part-00000-bbbbbbbb.parquet", ".git/config"]
    for name in (*stale, *foreign):
        write(tmp_path / name, age_s=100)
    publish_over(None, manifest, output=str(tmp_path))
    young = write(tmp_path / ".staging-ffff/000000-aa-val.arrow", age_s=-100)
    assert sweep(manifest, output=str(tmp_path)) == len(stale)
    named = set(manifest.files())
    assert files(tmp_path) == {*foreign, *named, str(young.relative_to(tmp_path))}
    assert not (tmp_path / ".staging-0123abcd").exists()


def test_staging_is_deleted_whole_and_may_be_missing(tmp_path: Path) -> None:
    staging = tmp_path / ".staging-00ff"
    write(staging / "000000-aa-val.arrow")
    for _ in range(2):
        delete_staging(str(staging))
        assert not staging.exists()


def test_up_to_date_means_same_input_settings_and_files(tmp_path: Path) -> None:
    manifest = make(tmp_path, "a")
    publish_over(None, manifest, output=str(tmp_path))
    config = PrepareConfig(input="in.json", output=str(tmp_path))
    assert is_up_to_date(manifest, config, sources=SOURCES)
    assert is_up_to_date(
        read_manifest(str(tmp_path)), dataclasses.replace(config, master="local[1]", partitions=3), sources=SOURCES
    )
    assert not is_up_to_date(manifest, dataclasses.replace(config, seed=1), sources=SOURCES)
    assert not is_up_to_date(manifest, config, sources=(Source("in.json", 3, "later"),))
    (tmp_path / manifest.splits["train"][0].path).unlink()
    assert not is_up_to_date(manifest, config, sources=SOURCES)


def test_a_card_counts_where_both_files_are_there_and_tell_of_this_data_set(tmp_path: Path) -> None:
    manifest = make(tmp_path, "a")
    publish_over(None, manifest, output=str(tmp_path))
    assert not has_card(manifest, str(tmp_path))
    (tmp_path / CARD_JSON).write_text(json.dumps({"dataset_id": manifest.dataset_id}))
    assert not has_card(manifest, str(tmp_path))
    (tmp_path / CARD_HTML).write_text("<p>")
    assert has_card(manifest, str(tmp_path))
    for text in ('{"dataset_id": "other"}', "{", "[]", "[" * 100_000, ""):
        (tmp_path / CARD_JSON).write_text(text)
        assert not has_card(manifest, str(tmp_path)), text[:20]


def test_publication_takes_the_old_card_away(tmp_path: Path) -> None:
    for mark in "ab":
        for name in (CARD_JSON, CARD_HTML):
            (tmp_path / name).write_text("of the old one")
        publish_over(find_manifest(str(tmp_path)), make(tmp_path, mark), output=str(tmp_path))
        assert not (tmp_path / CARD_JSON).exists()
        assert not (tmp_path / CARD_HTML).exists()


def test_a_job_that_loses_leaves_the_winners_card(tmp_path: Path) -> None:
    publish(str(tmp_path), make(tmp_path, "b"), replace=True)
    (tmp_path / CARD_HTML).write_text("the winner's")
    ours = make(tmp_path, "c")
    (tmp_path / ours.splits["train"][0].path).unlink()  # swept by the winner
    with pytest.raises(UserError, match="another preparation has published"):
        publish_over(None, ours, output=str(tmp_path))
    assert (tmp_path / CARD_HTML).read_text() == "the winner's"


def test_a_refusal_says_what_differs_and_what_to_do(tmp_path: Path) -> None:
    manifest = make(tmp_path, "a", created_at="2026-01-01")
    config = PrepareConfig(input="in.json", output=str(tmp_path), seed=1, shard_rows=5)
    with pytest.raises(UserError) as caught:
        refuse_to_replace(manifest, config, sources=(Source("other.json", 3, "now"),))
    message = str(caught.value)
    for part in (
        "2026-01-01",
        "seed was 0 and is 1",
        "shard_rows was 100000 and is 5",
        "input is another",
        "--overwrite",
    ):
        assert part in message


def test_an_object_store_is_published_to_and_swept() -> None:
    root = "memory://published"
    manifest = make(Path("/nowhere"), "a", write_to=root)
    stale = ("val/part-00003-cccccccc.parquet", ".staging-0123abcd/000001-ff-train.arrow")
    for name in (*stale, "notes.txt"):
        storage.write_bytes(f"{root}/{name}", b"PAR1")
    publish_over(None, manifest, output=root)
    with pytest.raises(UserError, match="another preparation has published"):
        publish_over(None, manifest, output=root)
    assert sweep(manifest, output=root) == len(stale)
    assert set(storage.list_files(root)) == {*manifest.files(), "notes.txt"}
