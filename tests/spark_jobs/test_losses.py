"""A preparation that loses many lines says so, and ends where the input is no catalogue."""

import json
from pathlib import Path

import pytest

from contract.errors import UserError
from tests.spark_jobs import nasty
from tests.spark_jobs.catalogues import catalogue, write
from tests.spark_jobs.conftest import Prepare

pytestmark = pytest.mark.spark


def test_an_input_of_which_most_lines_cannot_be_read_is_refused_unless_asked_for(run: Prepare, tmp_path: Path) -> None:
    write(tmp_path / "in.json", [*catalogue(3), *[b"name: mug"] * 4, b"[1]"])
    message = (
        r"5 of 8 lines of .*in\.json cannot be read \(4 not_json, 1 not_a_record\); expected one JSON object a line.*"
        r"--max-unreadable 0\.64$"
    )
    with pytest.raises(UserError, match=message):
        run(tmp_path / "in.json", tmp_path / "out")
    assert not list(tmp_path.glob("out/**/*.parquet"))
    manifest = run(tmp_path / "in.json", tmp_path / "out", max_unreadable=0.64)
    assert (manifest.rows.input, manifest.rows.kept) == (8, 3)


def test_half_of_the_lines_may_be_blank(run: Prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in.json", [line for record in catalogue(9) for line in (record, b"")])
    assert run(tmp_path / "in.json", tmp_path / "out").rows.rejected["not_json"] == 9
    assert "warning" not in capsys.readouterr().err


def test_a_file_that_is_no_data_is_named(run: Prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "a.json", catalogue(9))
    write(tmp_path / "in" / "README.md", [b"# A shop", b"Its catalogue."])
    run(tmp_path / "in", tmp_path / "out")
    assert (
        f"warning: most lines cannot be read of 1 file(s): {tmp_path}/in/README.md (2 of 2)" in capsys.readouterr().err
    )


def test_one_reason_that_takes_most_lines_is_told(
    run: Prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in.json", [*catalogue(3), *[nasty.line(content="")] * 5])
    run(tmp_path / "in.json", tmp_path / "out")
    assert "warning: 62% of the lines are rejected as no_content" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            [{"asin": "X", "name": "Mug", "description": ["Of tin."]}],
            r"1 no_title; it has 'asin', 'name', 'description': try",
        ),
        (
            {"hits": [{"objectID": 1, "name": {"pt": "Caneca"}, "description": {"pt": "De lata."}}]},
            r"try --title-field name\.pt",
        ),
        (
            {"title": "Mug", "about": "Of tin"},
            r"1 no_content; it has 'title', 'about': try --title-field title --content-field about",
        ),
    ],
)
def test_the_fields_that_there_are_and_a_command_are_named(
    run: Prepare, tmp_path: Path, data: object, message: str
) -> None:
    (tmp_path / "in.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=message):
        run(tmp_path / "in.json", tmp_path / "out")
