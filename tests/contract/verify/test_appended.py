"""A data set with appended lines: keys ascend in each addition, and none occurs twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.columns import REJECTED
from contract.verify.data_set import verify
from tests.contract.data_sets import DataSet, broken, edit_manifest

Document = dict[str, Any]


def append(data: DataSet, *, every: int = 3, additions: int = 1) -> list[dict[str, int]]:
    """Puts every third row of each section behind the others, in so many additions; their rows by section."""
    added: list[dict[str, int]] = [{} for _ in range(additions)]
    for section, rows in data.rows.items():
        moved = [rows[place::every] for place in range(additions)]
        data.rows[section] = [row for number, row in enumerate(rows) if number % every >= additions]
        for counts, some in zip(added, moved, strict=True):
            data.rows[section] += some
            if some:
                counts[section] = len(some)
    return added


def publish(
    data: DataSet, root: Path, added: list[dict[str, int]], edit: Callable[[Document], object] | None = None
) -> None:
    data.write(str(root))

    def tell(document: Document) -> None:
        document["appended"] = [{"sources": 0, "lines": 10, "rows": rows} for rows in added]
        if edit:
            edit(document)

    edit_manifest(root, tell)


@pytest.mark.parametrize("additions", [1, 2])
def test_additions_each_in_their_order_are_sound(data: DataSet, tmp_path: Path, additions: int) -> None:
    publish(data, tmp_path, append(data, additions=additions))
    report = verify(str(tmp_path))
    assert (broken(report), report.num_records, report.num_rejected) == (set(), 7_000, 3_000)


def test_without_the_manifests_word_the_order_is_broken(data: DataSet, tmp_path: Path) -> None:
    append(data)
    publish(data, tmp_path, [])
    assert broken(verify(str(tmp_path))) == {"order", "rejected order"}


@pytest.mark.parametrize("section", ["train", "val", REJECTED])
def test_a_wrong_place_of_the_seam_is_found(data: DataSet, tmp_path: Path, section: str) -> None:
    added = append(data)
    added[0][section] += 20  # a row of the old ones is taken for a new one
    publish(data, tmp_path, added)
    assert broken(verify(str(tmp_path))) == {"rejected order" if section == REJECTED else "order"}


@pytest.mark.parametrize("far", [False, True])
def test_a_key_that_an_old_record_has_is_found(data: DataSet, tmp_path: Path, far: bool) -> None:
    added = append(data, additions=2)
    old = data.rows["train"][7 if not far else -added[1]["train"] - 1]  # of the first rows, or of the first addition
    rows = sorted([*data.rows["train"][-added[1]["train"] :], old], key=lambda row: row["key"])
    data.rows["train"][-added[1]["train"] :] = rows
    added[1]["train"] += 1
    publish(data, tmp_path, added)
    report = verify(str(tmp_path))
    assert broken(report) == {"unique"}
    assert report.findings.examples[0].found.endswith("in 2 records")


def test_a_manifest_that_tells_of_more_than_there_is(data: DataSet, tmp_path: Path) -> None:
    publish(data, tmp_path, [{"val": 10**6}], lambda document: document["appended"][0].update(sources=3))
    report = verify(str(tmp_path))
    assert "manifest" in broken(report)
    said = " ".join(each.found for each in report.findings.examples)
    assert "1000000 rows of val appended" in said
    assert "3 input files appended, but there are only 2" in said


def test_statistics_that_are_missing_or_damaged_are_found(data: DataSet, tmp_path: Path) -> None:
    file = {"path": "statistics-01234567.json", "bytes": 3, "sha256": "0" * 64}
    publish(data, tmp_path, append(data), lambda document: document.update(statistics=file))
    assert broken(verify(str(tmp_path))) == {"file"}
    (tmp_path / "statistics-01234567.json").write_bytes(b"{}\n")
    report = verify(str(tmp_path))
    assert broken(report) == {"file"}
    assert not report.notes
