"""A row that breaks one law is told as that law, though hashes, counts and names are right."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.columns import REJECTED
from contract.keys import split_of
from contract.verify.data_set import verify
from tests.contract.data_sets import CONFIG, SEAM, DataSet, broken, record, rejected


def _swap(rows: list, first: int, second: int) -> None:
    rows[first], rows[second] = rows[second], rows[first]


def _change(data: DataSet, split: str, row: int, **values: object) -> None:
    data.rows[split][row] |= values


def _with_content(content: str) -> Callable[[DataSet], None]:
    def change(data: DataSet) -> None:
        rows = data.rows["train"]
        rows[3_000] = record(rows[3_000]["title"], content)
        rows.sort(key=lambda row: row["key"])

    return change


def _with_title(title: str) -> Callable[[DataSet], None]:
    def change(data: DataSet) -> None:
        shares = {name: CONFIG[name] for name in ("val_share", "test_share", "seed")}
        rows = data.rows[split_of(title, **shares)]
        rows[0] = record(title, "A content")
        rows.sort(key=lambda row: row["key"])

    return change


def _move_to_val(data: DataSet) -> None:
    data.rows["val"] = sorted([*data.rows["val"], data.rows["train"].pop(100)], key=lambda row: row["key"])


def _copy_to_val(data: DataSet) -> None:
    data.rows["val"] = sorted([*data.rows["val"], data.rows["train"][100]], key=lambda row: row["key"])


def _placed(data: DataSet) -> list[int]:
    return [number for number, row in enumerate(data.rows[REJECTED]) if row["reason"] == "not_json"]


def _swap_places(data: DataSet, distance: int) -> None:
    places = _placed(data)
    last = next(number for number in places if number >= SEAM) if distance < 0 else places[distance]
    _swap(data.rows[REJECTED], places[0], last)


def _repeat_place(data: DataSet) -> None:
    first = _placed(data)[0]
    data.rows[REJECTED].insert(first + 1, data.rows[REJECTED][first])


BROKEN_ROWS: dict[str, tuple[str, Callable[[DataSet], object]]] = {
    "two rows swapped": ("order", lambda data: _swap(data.rows["train"], 7, 8)),
    "two rows swapped far apart": ("order", lambda data: _swap(data.rows["train"], 7, 6_000)),
    "two rows swapped over a seam": ("order", lambda data: _swap(data.rows["train"], SEAM - 1, SEAM)),
    "two rows swapped over row groups": ("order", lambda data: _swap(data.rows["train"], 1_999, 2_000)),
    "a row twice": ("unique", lambda data: _change(data, "train", 8, **data.rows["train"][7])),
    "a row twice over a seam": ("unique", lambda data: _change(data, "train", SEAM, **data.rows["train"][SEAM - 1])),
    "a record in another split": ("split", _move_to_val),
    "a record in two splits": ("split", _copy_to_val),
    "a key too short": ("key", lambda data: _change(data, "val", 3, key=data.rows["val"][3]["key"][:15])),
    "a key too long": ("key", lambda data: _change(data, "val", 3, key=data.rows["val"][3]["key"] + b"\0")),
    "a key of other texts": ("key", lambda data: _change(data, "val", 0, key=bytes(16))),
    "an empty uid": ("uid", lambda data: _change(data, "test", 5, uid="")),
    "a content that is not UTF-8": ("readable", lambda data: _change(data, "train", 9, content=b"caf\xc3")),
    "an exclamation mark": ("alphabet", _with_content("A fine mug!")),
    "two blanks": ("alphabet", _with_content("A  fine mug")),
    "a blank in front": ("alphabet", _with_content(" A fine mug")),
    "a blank behind": ("alphabet", _with_content("A fine mug ")),
    "a tabulator": ("alphabet", _with_content("A\tfine mug")),
    "a control character": ("alphabet", _with_content("A \x1b[31mfine mug")),
    "a quotation mark": ("alphabet", _with_content("A “fine” mug")),
    "a zero-width blank": ("alphabet", _with_content("A fine\u200bmug")),
    "an emoji": ("alphabet", _with_content("A fine 🫖 mug")),
    "an empty content": ("alphabet", _with_content("")),
    "an empty title": ("alphabet", _with_title("")),
    "a title with a tag": ("alphabet", _with_title("<b>Mug</b>")),
    "a letter and an accent apart": ("clean", _with_content("A fine cafe\u0301 mug")),
    "a title not composed": ("clean", _with_title("Cafe\u0301 mug")),
    "rejected lines swapped": ("rejected order", lambda data: _swap_places(data, 1)),
    "rejected lines swapped over a seam": ("rejected order", lambda data: _swap_places(data, -2_000)),
    "a rejected line twice": ("unique", _repeat_place),
}


@pytest.mark.parametrize("name", BROKEN_ROWS)
def test_a_broken_row_breaks_one_law(name: str, data: DataSet, tmp_path: Path) -> None:
    law, change = BROKEN_ROWS[name]
    change(data)
    data.write(str(tmp_path))

    assert broken(verify(str(tmp_path))) == {law}


def _first(data: DataSet, reason: str) -> int:
    return next(number for number, row in enumerate(data.rows[REJECTED]) if row["reason"] == reason)


@pytest.mark.parametrize(
    ("reason", "values"),
    [
        ("duplicate", {"offset": -1}),
        ("duplicate", {"source": "/in/c.json"}),
        ("duplicate", {"uid": None}),
        ("duplicate", {"title": None}),
        ("duplicate", {"title": "<hr>"}),
        ("duplicate", {"raw": b"{"}),
        ("no_title", {"title": "Mug"}),
        ("no_title", {"raw": b""}),
        ("no_content", {"title": " &nbsp; "}),
        ("not_json", {"raw": None}),
        ("not_json", {"uid": "u"}),
        ("not_a_record", {"title": "Mug"}),
        ("too_long", {"raw": b"x" * 201}),
    ],
)
def test_a_rejected_line_tells_what_its_reason_stands_on(
    reason: str, values: dict[str, Any], data: DataSet, tmp_path: Path
) -> None:
    data.rows[REJECTED][_first(data, reason)] |= values
    data.write(str(tmp_path))
    report = verify(str(tmp_path))

    assert report.findings.counts == {"rejected": 1}


def test_lines_rejected_by_filters_need_no_uid(data: DataSet, tmp_path: Path) -> None:
    line = rejected("title_length", 0, 77_777, title="Mug")
    data.rows[REJECTED] = sorted([*data.rows[REJECTED], line], key=lambda row: row["key"])
    data.write(str(tmp_path))

    assert broken(verify(str(tmp_path))) == set()


def test_reasons_are_counted_again(data: DataSet, tmp_path: Path) -> None:
    data.reasons = Counter(row["reason"] for row in data.rows[REJECTED])
    data.rows[REJECTED][_first(data, "not_json")]["reason"] = "too_long"
    data.write(str(tmp_path))
    report = verify(str(tmp_path))

    assert report.findings.counts == {"reasons": 2}
    assert {example.found for example in report.findings.examples} == {"499 'not_json'", "501 'too_long'"}


def test_an_unknown_reason_is_named(data: DataSet, tmp_path: Path) -> None:
    data.reasons = Counter(row["reason"] for row in data.rows[REJECTED])
    data.rows[REJECTED][_first(data, "duplicate")]["reason"] = "because"
    data.write(str(tmp_path))
    report = verify(str(tmp_path))

    assert broken(report) == {"rejected", "reasons"}
    assert "'because', offset" in report.findings.examples[0].found


def test_texts_from_the_data_are_quoted(data: DataSet, tmp_path: Path) -> None:
    _with_content("\x1b[31m\u202e" + "x" * 10_000)(data)
    data.write(str(tmp_path))
    (example,) = verify(str(tmp_path)).findings.examples

    assert example.found.isprintable()
    assert len(example.found) < 200
    assert r"'\x1b'" in example.found
