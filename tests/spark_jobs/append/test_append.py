"""Lines that are added to a finished data set: what equals a preparation of all lines at once, and what stays."""

import io
import json
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest

from contract.columns import KEY, REJECTED, SHARD_SCHEMA, SPLITS, UID
from contract.errors import UserError
from contract.manifest import Manifest, read_manifest
from contract.names import CARD_JSON
from contract.shard import open_writer, row_groups_of, shard_of
from spark_jobs.append import run as appending
from tests.spark_jobs import nasty
from tests.spark_jobs.catalogues import all_records, catalogue, records, write
from tests.spark_jobs.conftest import Prepare

pytestmark = pytest.mark.spark

_SHARD_ROWS: Final = 70
_SETTINGS: Final = {"shard_rows": _SHARD_ROWS, "max_line_bytes": nasty.MAX_LINE_BYTES}


def lines_of(draw: random.Random, count: int) -> list[bytes]:
    """Products, some of them several times under other ids, and lines that are broken."""
    lines = catalogue(count)
    again = [json.loads(line) | {"uid": f"{draw.randrange(count):06d}"} for line in draw.choices(lines, k=count // 5)]
    lines += [json.dumps(line).encode() for line in again]
    lines += [line for line, _ in draw.choices(list(nasty.NASTY.values()), k=count // 5)]
    draw.shuffle(lines)
    return lines


def cut(draw: random.Random, lines: list[bytes], *, num: int) -> list[list[bytes]]:
    """The lines in so many pieces, none of them empty."""
    places = sorted(draw.sample(range(1, len(lines)), num - 1))
    return [lines[first:end] for first, end in zip([0, *places], [*places, None], strict=True)]


def append_all(run: Prepare, folder: Path, pieces: Sequence[list[bytes]], **settings: Any) -> Manifest:
    """Prepares the first piece and appends the others, each in a file; the output is `folder`/out."""
    files = [write(folder / f"{number:03d}.json", piece) for number, piece in enumerate(pieces)]
    manifest = run(files[0], folder / "out", **settings)
    for file in files[1:]:
        manifest = run(file, folder / "out", append=str(file), **settings)
    return manifest


def digests(rows: Sequence[dict[str, Any]], section: str) -> list[str]:
    """The sha256 of the shards that hold these records, one after the other."""
    found = []
    for number, first in enumerate(range(0, len(rows), _SHARD_ROWS)):
        table = pa.Table.from_pylist(list(rows[first : first + _SHARD_ROWS]), SHARD_SCHEMA)
        sink = io.BytesIO()
        with open_writer(sink, SHARD_SCHEMA) as writer:
            for group in row_groups_of(table.to_batches(), SHARD_SCHEMA):
                writer.write_table(group)
        found.append(shard_of(sink.getvalue(), section=section, number=number, rows=table.num_rows).sha256)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_appends_hold_what_all_lines_at_once_hold(run: Prepare, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    lines = lines_of(draw, draw.choice([60, 500, 900]))
    pieces = cut(draw, lines, num=draw.choice([2, 3, 5]))
    appended = append_all(run, tmp_path, pieces, **_SETTINGS)
    at_once = run(f"{tmp_path}/*.json", tmp_path / "at_once", **_SETTINGS)  # type: ignore[arg-type]
    assert (appended.rows, appended.source) == (at_once.rows, at_once.source)
    for split in SPLITS:
        found = {record[KEY]: (record["title"], record["content"]) for record in records(tmp_path / "out", split)}
        expected = {
            record[KEY]: (record["title"], record["content"]) for record in records(tmp_path / "at_once", split)
        }
        assert found == expected

    # In order: what each piece alone would give, but for the records that were there.
    seen: set[bytes] = set()
    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for number in range(len(pieces)):
        with suppress(UserError):  # a piece may hold no record
            run(tmp_path / f"{number:03d}.json", tmp_path / f"alone{number}", max_unreadable=1.0, **_SETTINGS)
        if not (tmp_path / f"alone{number}").exists():
            continue
        for split in SPLITS:
            rows[split] += [each for each in records(tmp_path / f"alone{number}", split) if each[KEY] not in seen]
        seen |= {record[KEY] for record in all_records(tmp_path / f"alone{number}")}
    for split in SPLITS:
        assert [shard.sha256 for shard in appended.splits[split]] == digests(rows[split], split)

    def lost(output: str) -> Counter[tuple[Any, ...]]:
        """Rejected lines, but which one of equal records is listed."""
        rows = (row for row in records(tmp_path / output, REJECTED) if row["reason"] != "duplicate")
        return Counter(tuple(row.items()) for row in rows)

    assert lost("out") == lost("at_once")


def test_the_data_card_is_that_of_all_lines_at_once(run: Prepare, tmp_path: Path) -> None:
    pieces = cut(random.Random(5), lines_of(random.Random(5), 900), num=4)
    append_all(run, tmp_path, pieces, **_SETTINGS)
    run(f"{tmp_path}/*.json", tmp_path / "at_once", **_SETTINGS)  # type: ignore[arg-type]
    found, expected = (json.loads((tmp_path / name / CARD_JSON).read_text()) for name in ("out", "at_once"))
    for card in (found, expected):
        for name in ("dataset_id", "created_at", "command", "duplicates"):
            del card[name]
        for split in card["splits"]:
            del split["bytes"]
        for example in card["examples"]:  # of equal records, another may be kept
            for name in ("uid", "raw_title", "raw_title_length"):
                del example[name]
    assert found == expected


def test_a_record_keeps_its_id_its_split_and_its_place(run: Prepare, tmp_path: Path) -> None:
    old = catalogue(400)
    run(write(tmp_path / "old.json", old), tmp_path / "out", **_SETTINGS)
    before = {split: records(tmp_path / "out", split) for split in SPLITS}
    smaller = [json.dumps(json.loads(line) | {"uid": "!"}).encode() for line in old[::3]]
    new = write(tmp_path / "new.json", smaller + catalogue(500))
    manifest = run(new, tmp_path / "out", append=str(new), **_SETTINGS)
    assert manifest.appended[0].rows["rejected"] == manifest.rows.rejected["duplicate"] - 40 == len(smaller) + 410
    for split in SPLITS:
        assert records(tmp_path / "out", split)[: len(before[split])] == before[split]


def test_shards_that_are_full_stay_the_same_files(run: Prepare, tmp_path: Path) -> None:
    old = run(write(tmp_path / "old.json", catalogue(900)), tmp_path / "out", **_SETTINGS)
    full = {shard.path: (tmp_path / "out" / shard.path).stat() for shard in old.shards() if shard.rows == _SHARD_ROWS}
    assert len(full) > 5
    new = write(tmp_path / "new.json", [nasty.line(uid="n", title=f"New {n}", content=f"New {n}") for n in range(9)])
    manifest = run(new, tmp_path / "out", append=str(new), **_SETTINGS)
    touched = {shard.path for shard in manifest.shards()} - {shard.path for shard in old.shards()}
    assert len(touched) <= 3
    for path, status in full.items():
        found = (tmp_path / "out" / path).stat()
        assert (found.st_ino, found.st_mtime_ns) == (status.st_ino, status.st_mtime_ns)


def test_many_lines_are_read_on_spark_with_the_same_result(
    run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = cut(random.Random(8), lines_of(random.Random(8), 600), num=3)
    here = append_all(run, tmp_path / "here", pieces, **_SETTINGS)
    card = json.loads((tmp_path / "here" / "out" / CARD_JSON).read_text())
    monkeypatch.setattr(appending, "MAX_BYTES_HERE", -1)
    on_spark = append_all(run, tmp_path / "spark", pieces, **_SETTINGS, partitions=5)
    assert (on_spark.dataset_id, on_spark.rows, on_spark.appended) == (here.dataset_id, here.rows, here.appended)
    found = json.loads((tmp_path / "spark" / "out" / CARD_JSON).read_text())
    for name in ("lengths", "traits", "entities", "characters", "facts", "duplicates", "examples", "notes"):
        assert found[name] == card[name]


def test_lines_that_all_repeat_records_are_counted_and_nothing_else(run: Prepare, tmp_path: Path) -> None:
    old = run(write(tmp_path / "old.json", catalogue(50)), tmp_path / "out", **_SETTINGS)
    new = write(tmp_path / "new.json", catalogue(50))
    manifest = run(new, tmp_path / "out", append=str(new), **_SETTINGS)
    assert manifest.dataset_id == old.dataset_id
    assert (manifest.rows.input, manifest.rows.kept) == (100, old.rows.kept)


def test_the_same_files_again_are_nothing_to_do_and_new_ones_beside_them_are_read(
    run: Prepare, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(write(tmp_path / "in" / "1.json", catalogue(30)), tmp_path / "out", **_SETTINGS)
    folder = tmp_path / "in"
    first = read_manifest(str(tmp_path / "out"))
    assert run(folder, tmp_path / "out", append=str(folder), **_SETTINGS) == first
    assert "nothing to do" in capfd.readouterr().err
    write(folder / "2.json", catalogue(60)[30:])
    assert run(folder, tmp_path / "out", append=str(folder), **_SETTINGS).rows.input == 60
    assert "passed over 1 file(s) whose lines the data set holds already" in capfd.readouterr().err


def test_an_id_that_is_the_hash_of_the_text_and_other_formats(run: Prepare, tmp_path: Path) -> None:
    run(write(tmp_path / "old.json", [b'{"title": "Mug", "content": "Of tin"}']), tmp_path / "out", **_SETTINGS)
    table = tmp_path / "new.csv"
    table.write_text("uid,title,content\n,Mug,Of tin!\n,Jug,Of clay\n")
    manifest = run(table, tmp_path / "out", append=str(table), **_SETTINGS)
    assert (manifest.rows.input, manifest.rows.kept) == (3, 2)
    assert all(record[UID] == record[KEY].hex() for record in all_records(tmp_path / "out"))


def test_a_data_card_that_is_lost_is_made_again_without_the_old_lines(
    run: Prepare, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    append_all(run, tmp_path, [catalogue(50), catalogue(80)], **_SETTINGS)
    card = json.loads((tmp_path / "out" / CARD_JSON).read_text())
    (tmp_path / "out" / CARD_JSON).unlink()
    (tmp_path / "000.json").unlink()
    new = tmp_path / "001.json"
    run(new, tmp_path / "out", append=str(new), **_SETTINGS)
    assert "its data card is missing (card.html, card.json): it is made again" in capfd.readouterr().err
    assert json.loads((tmp_path / "out" / CARD_JSON).read_text()) == card


def test_short_records_in_several_row_groups(run: Prepare, tmp_path: Path) -> None:
    old = [nasty.line(uid=n, title=f"{n}", content=f"{n}") for n in range(9_000)]
    run(write(tmp_path / "old.json", old), tmp_path / "out", shard_rows=6_000)
    new = write(tmp_path / "new.json", [*old[::2], nasty.line(uid="n", title="New", content="New")])
    manifest = run(new, tmp_path / "out", append=str(new), shard_rows=6_000)
    assert (manifest.rows.kept, manifest.rows.rejected["duplicate"]) == (9_001, 4_500)
