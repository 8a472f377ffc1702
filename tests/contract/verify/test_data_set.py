"""Every law of a data set is checked: a sound one passes, what is broken is told, counted and bounded."""

import dataclasses
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from contract.columns import REJECTED
from contract.errors import UserError
from contract.manifest import publish, read_manifest
from contract.verify.data_set import verify
from contract.verify.findings import LAWS, MAX_EXAMPLES
from tests.contract.data_sets import SEAM, DataSet, broken, edit_manifest


def test_a_sound_data_set_keeps_every_law(written: Path) -> None:
    report = verify(str(written))

    assert (broken(report), report.notes) == (set(), [])
    manifest = read_manifest(str(written))
    assert report.num_records == manifest.rows.kept == 7_000
    assert report.num_rejected == sum(manifest.rows.rejected.values()) == 3_000
    assert report.num_files == len(list(written.rglob("*.parquet"))) >= 7


def test_progress_grows_to_the_whole(written: Path) -> None:
    shares: list[float] = []
    verify(str(written), on_progress=lambda share, _: shares.append(share))

    assert shares == sorted(set(shares))
    assert shares[-1] == 1


def _add(document: dict[str, Any], *path: str | int) -> None:
    """Adds one to a number."""
    for step in path[:-1]:
        document = document[step]
    document[path[-1]] += 1


BROKEN_MANIFESTS: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "one more in": ("manifest", lambda document: _add(document, "rows", "in")),
    "one more kept": ("manifest", lambda document: _add(document, "rows", "kept")),
    "one more of a split": ("manifest", lambda document: _add(document, "splits", "val", "rows")),
    "one more rejected": ("manifest", lambda document: _add(document, REJECTED, "rows")),
    "another id": ("manifest", lambda document: document.update(dataset_id="0" * 32)),
    "another format": ("manifest", lambda document: document.update(format="vitrine/0")),
    "another schema": ("manifest", lambda document: document["schema"].pop("key")),
    "no seed": ("manifest", lambda document: document["config"].pop("seed")),
    "a seed below zero": ("manifest", lambda document: document["config"].update(seed=-1)),
    "a share of two": ("manifest", lambda document: document["config"].update(val_share=2)),
    "no shard_rows": ("manifest", lambda document: document["config"].pop("shard_rows")),
    "another profile in the config": ("manifest", lambda document: document["config"].update(text_profile="natural")),
    "shards of other rows": ("shard rows", lambda document: document["config"].update(shard_rows=SEAM + 1)),
    "an unknown profile": (
        "manifest",
        lambda document: document.update(text_profile="x") or document["config"].update(text_profile="x"),
    ),
    "an unknown reason": ("manifest", lambda document: document["rows"]["rejected"].update(because=0)),
    "one more of one reason, one less of another": (
        "reasons",
        lambda document: document["rows"]["rejected"].update(not_json=501, too_long=499),
    ),
}


@pytest.mark.parametrize("name", BROKEN_MANIFESTS)
def test_a_manifest_that_says_something_wrong_is_found(name: str, root: Path) -> None:
    law, edit = BROKEN_MANIFESTS[name]
    edit_manifest(root, edit)

    assert broken(verify(str(root))) == {law}


def test_a_shard_with_another_number_of_rows_than_said_is_found(root: Path) -> None:
    manifest = read_manifest(str(root))
    (shard,) = manifest.splits["val"]
    more = structs.replace(shard, rows=shard.rows + 1)
    rows = structs.replace(manifest.rows, input=manifest.rows.input + 1, kept=manifest.rows.kept + 1)
    publish(
        str(root), dataclasses.replace(manifest, rows=rows, splits=manifest.splits | {"val": (more,)}), replace=True
    )

    assert broken(verify(str(root))) == {"shard rows"}


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff\xfe\x00", b"[" * 100_000, b'{"format": "vitrine/2"}'])
def test_what_is_no_manifest_is_found(root: Path, text: bytes) -> None:
    (root / "manifest.json").write_bytes(text)
    report = verify(str(root))

    assert report.findings.counts == {"manifest": 1}
    assert report.manifest is None


def test_the_start_of_a_sound_data_set_is_sound(small: Path) -> None:
    assert broken(verify(str(small))) == set()


LEAVES = st.sampled_from([None, True, -1, 0, 3, 1e300, float("nan"), 2**70, "", "x", "\x1b[31m", "../x", [], [1], {}])


@settings(deadline=None, max_examples=150)
@given(place=st.randoms(use_true_random=False), value=LEAVES)
def test_whatever_a_manifest_says_is_a_finding_and_no_crash(small: Path, place: random.Random, value: object) -> None:
    path = small / "manifest.json"
    before = path.read_bytes()

    def spoil(node: Any) -> None:
        """Puts the value somewhere below."""
        key = place.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if isinstance(node[key], dict | list) and node[key] and place.random() < 0.8:
            spoil(node[key])
        else:
            node[key] = value

    try:
        edit_manifest(small, spoil)
        report = verify(str(small))
    finally:
        path.write_bytes(before)
    assert broken(report) <= LAWS.keys()


@pytest.mark.parametrize(
    ("text", "laws"), [('{"dataset_id": "%s"}', set()), ('{"dataset_id": "x"}', {"card"}), ("", {"card"})]
)
def test_a_card_beside_the_data_set_is_its_own(root: Path, text: str, laws: set[str]) -> None:
    (root / "card.json").write_text(text.replace("%s", read_manifest(str(root)).dataset_id))
    (root / "card.html").write_text("<html>")
    report = verify(str(root))

    assert broken(report) == laws
    assert report.notes == []


def test_files_that_nothing_names_are_noted_and_break_nothing(root: Path) -> None:
    for name in (
        "train/part-00000-0123abcd.parquet",
        "val/.part-00000-0123abcd.parquet.x.tmp",
        ".staging-0a1b/000-train.arrow",
        "notes.txt",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    report = verify(str(root))

    assert broken(report) == set()
    assert report.notes == [
        "'.staging-0a1b/000-train.arrow' and 2 more: left behind by a stopped job; the next preparation sweeps it",
        "'notes.txt': not of this data set",
    ]


def test_all_that_is_broken_is_told_counted_and_bounded(data: DataSet, tmp_path: Path) -> None:
    for row in range(1_000):
        data.rows["train"][row]["uid"] = ""
    data.rows["val"].reverse()
    data.options["compression"] = "gzip"
    manifest = data.write(str(tmp_path))
    (tmp_path / manifest.splits["test"][0].path).unlink()
    report = verify(str(tmp_path))

    assert broken(report) == {"uid", "order", "layout", "file"}
    assert report.findings.counts["uid"] == 1_000
    assert [example.where for example in report.findings.examples if example.law == "uid"] == [
        f"{manifest.splits['train'][0].path} row {row}" for row in range(MAX_EXAMPLES)
    ]


def test_several_processes_find_the_same(data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for row in range(0, len(data.rows["train"]), 400):
        data.rows["train"][row]["uid"] = ""
    data.write(str(tmp_path))
    alone = verify(str(tmp_path))
    monkeypatch.setattr("contract.verify.data_set._BYTES_WORTH_A_PROCESS", 1)

    assert verify(str(tmp_path), num_processes=2) == alone
    assert alone.findings.counts["uid"] == len(range(0, len(data.rows["train"]), 400))


_READING = """
import time
from contract.verify.data_set import _mapping
with _mapping(2) as map_files:
    tasks = map_files(time.sleep, [0.01, 60, 60])
    next(tasks)
    print("reading", flush=True)
    list(tasks)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_one_that_is_stopped(number: signal.Signals) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", _READING], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "reading\n"

    running.send_signal(number)
    running.communicate(timeout=30)  # ends only when no process holds the pipe
    assert running.returncode != 0


def test_a_data_set_on_an_object_store_is_verified(data: DataSet, tmp_path: Path) -> None:
    root = f"memory://{tmp_path.name}-verify"
    data.write(root)
    assert broken(verify(root)) == set()

    filesystem = fsspec.filesystem("memory")
    path = f"/{tmp_path.name}-verify/{read_manifest(root).splits['train'][0].path}"
    filesystem.pipe_file(path, filesystem.cat_file(path)[:-1])
    assert broken(verify(root)) == {"file"}


def test_where_there_is_no_data_set_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder" / "manifest.json").mkdir(parents=True)
    for name, message in (
        ("none", "no manifest.json in"),
        ("file", "is a file, expected a prepared data set"),
        ("folder", "cannot read"),
    ):
        with pytest.raises(UserError, match=message):
            verify(str(tmp_path / name))
