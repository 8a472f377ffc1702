"""The laws of a prepared data set, with real Spark."""

import errno
import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from contract.columns import REJECTED, SPLITS
from contract.errors import UserError
from contract.manifest import Manifest, read_manifest
from contract.names import CARD_HTML, CARD_JSON
from contract.reasons import REASONS
from contract.text.clean import clean
from spark_jobs import data_set, steps
from spark_jobs import prepare as preparing
from tests.spark_jobs import nasty
from tests.spark_jobs.catalogues import all_records, catalogue, check_files, records, write
from tests.spark_jobs.conftest import Prepare

pytestmark = pytest.mark.spark


def test_conservation_on_nasty_lines(run: Prepare, tmp_path: Path) -> None:
    source = write(tmp_path / "in.json", [line for line, _ in nasty.NASTY.values()])
    manifest = run(source, tmp_path / "out", max_line_bytes=nasty.MAX_LINE_BYTES)
    expected = Counter(reason for _, reason in nasty.NASTY.values())
    kept = expected.pop(nasty.KEPT)
    assert (manifest.rows.input, manifest.rows.kept) == (len(nasty.NASTY), kept)
    assert manifest.rows.rejected == {reason: expected[reason] for reason in REASONS}
    off = {"title_length", "content_length", "repeats_title", "repeated_phrase", "language", "near_duplicate"}
    assert {reason for reason in REASONS if not expected[reason]} == off

    found = {row["offset"]: row for row in records(tmp_path / "out", REJECTED)}
    offset = 0
    for line, reason in nasty.NASTY.values():
        if reason != nasty.KEPT:
            row = found.pop(offset)
            assert (row["reason"], row["source"]) == (reason, str(source))
            assert row["raw"] == (None if reason.startswith(("no_", "dup")) else line[:200])
        offset += len(line) + 1
    assert not found
    assert len(all_records(tmp_path / "out")) == kept


def test_a_duplicate_tells_its_own_uid_and_title(run: Prepare, tmp_path: Path) -> None:
    lines = [
        nasty.line(uid=uid, title=title)
        for uid, title in (("c", "Mug!"), ("b", "<b>Mug</b>"), ("a", "Mug"), ("d", "Mug"))
    ]
    run(write(tmp_path / "in.json", lines), tmp_path / "out")
    assert [record["uid"] for record in all_records(tmp_path / "out")] == ["a"]
    found = [(row["uid"], row["title"]) for row in records(tmp_path / "out", REJECTED)]
    assert found == [("b", "<b>Mug</b>"), ("c", "Mug!"), ("d", "Mug")]


@pytest.mark.parametrize("count", [1, 9, 10, 11, 20, 21])
def test_shards_are_exact(run: Prepare, tmp_path: Path, count: int) -> None:
    lines = [nasty.line(uid=f"{number}", content=f"Mug {number}") for number in range(count)] + [b"{}"] * 11
    manifest = run(write(tmp_path / "in.json", lines), tmp_path / "out", partitions=4, val_share=0.0, test_share=0.0)
    assert [shard.rows for shard in manifest.splits["train"]] == [10] * (count // 10) + [count % 10] * bool(count % 10)
    assert [shard.rows for shard in manifest.rejected] == [10, 1]
    assert (manifest.splits["val"], manifest.splits["test"]) == ((), ())


def test_records_are_what_a_plain_script_says(run: Prepare, tmp_path: Path) -> None:
    lines = catalogue(500)
    run(write(tmp_path / "in.json", random.Random(2).sample(lines, len(lines))), tmp_path / "out")
    smallest: dict[tuple[str, str], str] = {}
    for line in lines:
        value = json.loads(line)
        text = clean(value["title"]), clean(value["content"])
        smallest[text] = min(smallest.get(text, "~"), value["uid"])
    found = all_records(tmp_path / "out")
    assert {(record["title"], record["content"]): record["uid"] for record in found} == smallest
    assert len(found) == len(smallest) == read_manifest(str(tmp_path / "out")).rows.kept
    assert len(smallest) < len(lines)


def test_keys_ascend_over_the_shards_of_a_split(run: Prepare, tmp_path: Path) -> None:
    run(write(tmp_path / "in.json", catalogue(300)), tmp_path / "out", partitions=7)
    for split in SPLITS:
        keys = [record["key"] for record in records(tmp_path / "out", split)]
        assert keys == sorted(set(keys))


def test_splits_follow_titles_and_more_data_moves_nothing(run: Prepare, tmp_path: Path) -> None:
    run(write(tmp_path / "few.json", catalogue(300)), tmp_path / "few")
    run(write(tmp_path / "more.json", catalogue(900)), tmp_path / "more")
    split_of = {"few": {}, "more": {}}
    for name, places in split_of.items():
        for split in SPLITS:
            for record in records(tmp_path / name, split):
                assert places.setdefault(record["title"], split) == split
        assert set(places.values()) == set(SPLITS)
    assert split_of["few"].items() <= split_of["more"].items()


def test_the_same_again_is_nothing_to_do(run: Prepare, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in.json", catalogue(20))
    first = run(source, tmp_path / "out")
    capfd.readouterr()
    assert run(source, tmp_path / "out", partitions=9) == first
    assert "nothing to do" in capfd.readouterr().err


def test_a_finished_output_is_not_replaced_unasked(run: Prepare, tmp_path: Path) -> None:
    run(write(tmp_path / "in.json", catalogue(20)), tmp_path / "out")
    before = read_manifest(str(tmp_path / "out"))
    with pytest.raises(UserError, match=r"holds a finished data set of .* --overwrite"):
        run(write(tmp_path / "in.json", catalogue(30)), tmp_path / "out")
    assert read_manifest(str(tmp_path / "out")) == before
    check_files(tmp_path / "out", before)


def test_overwrite_keeps_the_old_whole_until_the_new_is_published(
    run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    old = run(write(tmp_path / "in.json", catalogue(200)), output)
    old_records = all_records(output)
    new_input = write(tmp_path / "new.json", catalogue(300))

    def fail(*_: object, **__: object) -> None:
        assert read_manifest(str(output)) == old
        raise RuntimeError("just before publication")

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "publish_over", fail)
        with pytest.raises(RuntimeError, match="just before publication"):
            run(new_input, output, overwrite=True)
    assert read_manifest(str(output)) == old
    assert all_records(output) == old_records

    new = run(new_input, output, overwrite=True)  # checks that nothing of the old is left
    assert new.dataset_id != old.dataset_id


def test_another_preparation_that_publishes_meanwhile_wins(
    run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    original = data_set._run

    def run_while_another_publishes(*args: object) -> Manifest:
        manifest = original(*args)  # type: ignore[arg-type]
        monkeypatch.setattr(data_set, "_run", original)
        run(write(tmp_path / "theirs.json", catalogue(30)), tmp_path / "elsewhere")
        elsewhere = tmp_path / "elsewhere"
        for name in (*read_manifest(str(elsewhere)).files(), CARD_JSON, CARD_HTML):
            (output / name).parent.mkdir(exist_ok=True)
            (elsewhere / name).rename(output / name)
        return manifest

    monkeypatch.setattr(data_set, "_run", run_while_another_publishes)
    with pytest.raises(UserError, match="another preparation has published"):
        run(write(tmp_path / "ours.json", catalogue(200)), output)
    assert read_manifest(str(output)).rows.input == 30
    assert len(all_records(output)) == read_manifest(str(output)).rows.kept
    check_files(output, read_manifest(str(output)))  # nothing of ours is left beside theirs


@pytest.mark.parametrize("master", ["local[2]", "local[2,4]"])  # with and without retries
def test_a_damaged_gzip_file_is_named_and_nothing_is_published(run: Prepare, tmp_path: Path, master: str) -> None:
    (tmp_path / "in.json.gz").write_bytes(gzip.compress(b"\n".join(catalogue(5_000)))[:-20])
    with pytest.raises(UserError, match=r"^\S*in\.json\.gz is not a whole gzip file: .*again$"):
        run(tmp_path / "in.json.gz", tmp_path / "out", master=master)
    assert not list((tmp_path / "out").rglob("manifest.json"))


def test_a_gzip_file_of_nothing_is_the_users_error(run: Prepare, tmp_path: Path) -> None:
    (tmp_path / "in.json.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(UserError, match=r"the input is empty: .*in\.json\.gz"):
        run(tmp_path / "in.json.gz", tmp_path / "out")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b'[\n{"title": "Mug"}\n]\n',
            r"1 line\(s\) read, none kept, rejected: 1 no_content; it has 'title': name the right ones",
        ),
        (
            '{"title": "Café", "content": "Fine"}\n'.encode("cp1252"),
            "rejected: 1 not_utf8; .*--encoding, such as cp1252",
        ),
        (b"title: Mug\n" * 2, r"2 line\(s\) read.*2 not_json; expected one JSON object a line"),
        (b"\n" * 5, r"5 line\(s\) read.*5 not_json"),
        (b'{"name": "Mug"}\n' * 4, "4 no_title; it has 'name': name the right ones by --title-field"),
    ],
    ids=["array", "cp1252", "yaml", "blank", "names"],
)
def test_an_input_without_a_record_is_the_users_error(run: Prepare, tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "in.json").write_bytes(data)
    with pytest.raises(UserError, match=message):
        run(tmp_path / "in.json", tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("step", ["storage.write_bytes", "_write_staged"])
def test_a_full_disk_is_the_users_error(
    run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    limited = tmp_path / "in.json"
    write(limited, catalogue(30))
    original = steps.write_shard if step == "storage.write_bytes" else steps.stage_bucket

    def fill(*args: object, **kwargs: object) -> object:
        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:  # in the task
            if step == "storage.write_bytes":
                patch.setattr("contract.storage.write_bytes", fail)
            else:
                patch.setattr("pyarrow.ipc.new_file", fail)
            return original(*args, **kwargs)

    monkeypatch.setattr(steps, original.__name__, fill)
    with pytest.raises(UserError, match=r"^cannot write to \S*out\S*: No space left on device; make room"):
        run(limited, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_an_output_that_holds_no_files_is_refused_before_the_work(run: Prepare, tmp_path: Path) -> None:
    source = write(tmp_path / "in.json", catalogue(5))
    with pytest.raises(UserError, match=r"cannot write to /proc/x: /proc is no folder that may be written to"):
        run(source, Path("/proc/x"))


def test_output_around_the_input_is_refused(run: Prepare, tmp_path: Path) -> None:
    write(tmp_path / "out" / "in.json", catalogue(5))
    with pytest.raises(UserError, match="lies in the output folder"):
        run(tmp_path / "out" / "in.json", tmp_path / "out")


def test_output_in_the_input_folder_is_refused(run: Prepare, tmp_path: Path) -> None:
    write(tmp_path / "in" / "in.json", catalogue(5))
    with pytest.raises(UserError, match="lies in the input folder"):
        run(tmp_path / "in", tmp_path / "in" / "out")


def test_an_output_that_is_a_file_is_refused(run: Prepare, tmp_path: Path) -> None:
    source = write(tmp_path / "in.json", catalogue(5))
    with pytest.raises(UserError, match=r"cannot write to .*in\.json/out: .*in\.json is no folder"):
        run(source, source / "out")


def test_other_settings_of_the_split_give_another_data_set(run: Prepare, tmp_path: Path) -> None:
    source = write(tmp_path / "in.json", catalogue(200))
    ids = {
        run(source, tmp_path / f"out{number}", **settings).dataset_id
        for number, settings in enumerate(
            [{}, {"seed": 1}, {"val_share": 0.2}, {"shard_rows": 11}, {"text_profile": "natural"}]
        )
    }
    assert len(ids) == 5


def test_bad_files_of_a_folder_are_told_all_at_once(run: Prepare, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "good.json", catalogue(5))
    for number in range(7):
        (folder / f"sheet{number}.json").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    (folder / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"^8 files cannot be read: .*sheet0.json is an Excel workbook.*; and 3 more$"):
        run(folder, tmp_path / "out")


def test_files_without_a_record_and_titles_that_are_objects_are_told(
    run: Prepare, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.json", catalogue(30))
    write(folder / "b.json", [b'{"name": "Mug", "description": "Blue."}'] * 3)
    write(folder / "c.json", [b'{"title": {"en": "Mug", "pt": "Caneca"}, "content": "x"}'])
    write(folder / "d.json", [b'{"uid": "1", "title": "Mug %d", "content": "x"}' % number for number in range(4)])
    run(folder, tmp_path / "out")
    said = capfd.readouterr().err
    assert (
        f"warning: no record is kept of 1 file(s): {folder / 'b.json'} (3 lines); of the first, it has 'name'" in said
    )
    assert "try --title-field name --content-field description" in said
    assert (
        "1 line(s) have an object as title or description; title may be an object with title.en, title.pt: try" in said
    )
    assert "--title-field title,title.en" in said
    assert "noted: 1 shared_id: ids that belong to several records" in said


@pytest.mark.parametrize(("delimiter", "suffix"), [("\t", "tsv"), ("|", "csv")])
def test_a_table_by_another_name_is_told(run: Prepare, tmp_path: Path, delimiter: str, suffix: str) -> None:
    rows = ["id", "title", "content"], ["1", "Mug", "Blue, fine."], ["2", "Cup", "Red."]
    (tmp_path / "in.txt").write_text("".join(delimiter.join(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=rf"it looks like a table with '.*' between .* its name ends in \.{suffix}"):
        run(tmp_path / "in.txt", tmp_path / "out")
