"""`vitrine recall` on a finished run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from contract.errors import UserError
from tests.conftest import Prepared, write_data_set
from tests.trainer.configs import small_config
from trainer.config import RecallConfig
from trainer.recall.recall import main, recall
from trainer.runs import names
from trainer.runs.recalls import Report, num_asked, read_report
from trainer.train import train


@pytest.fixture(name="run", scope="module")
def _run(prepared, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in its first epoch; its probe has asked about all of its few records."""
    run = tmp_path_factory.mktemp("recall") / "run"
    train(replace(small_config(prepared, micro_base, run, max_steps=4), recall=True))
    return run


def test_it_measures_what_the_run_measured_at_its_end(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at_end = read_report(run)
    assert main(["--run", str(run), "--all", "--json"]) == 0

    printed = msgspec.json.decode(capsys.readouterr().out, type=Report)
    assert printed == read_report(run)
    assert 0 < printed.trained_records < 60
    assert printed.seen is not None
    assert at_end.seen is not None
    assert (printed.step, printed.trained_records) == (4, at_end.trained_records)
    assert printed.seen.records == printed.trained_records
    assert printed.unseen is not None
    assert printed.unseen.loss_after == pytest.approx(at_end.unseen.loss_after, rel=0.05)  # there, of fewer records
    assert printed.seen.loss_before is not None
    assert printed.seen.loss_after < printed.seen.loss_before
    kinds = {(each.language, each.is_trained, each.records) for each in printed.wordings.values()}
    num = printed.trained_records
    assert kinds == {("english", True, num), ("english", False, num), ("portuguese", False, num)}
    assert [name for name, each in printed.wordings.items() if each.is_trained] == ["what-is"]
    for language, neutral in at_end.neutral.items():
        assert printed.neutral[language].loss_before == pytest.approx(neutral.loss_before, rel=1e-4)
        assert printed.neutral[language].loss_after == pytest.approx(neutral.loss_after, rel=1e-4)


def test_a_report_from_fewer_records_replaces_no_fuller_one_unless_told(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recall(RecallConfig(run=str(run), all=True))
    whole = read_report(run)
    capsys.readouterr()
    recall(RecallConfig(run=str(run), sample=5))
    printed = capsys.readouterr()
    assert "of 5 records" in printed.out
    assert re.search(
        r"this measurement asked 10 records; .*recall.json keeps the fuller report of \d{2,} records", printed.err
    )
    assert read_report(run) == whole

    recall(RecallConfig(run=str(run), sample=5, overwrite=True))
    assert num_asked(read_report(run)) == 10
    recall(RecallConfig(run=str(run), sample=6))
    assert num_asked(read_report(run)) == 12


def test_a_report_of_an_earlier_step_is_replaced(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(small_config(prepared, micro_base, run, max_steps=1))
    recall(RecallConfig(run=str(run), all=True))
    train(small_config(prepared, micro_base, run, max_steps=2, resume=True))
    recall(RecallConfig(run=str(run), sample=3))

    assert read_report(run).step == 2
    assert "keeps the fuller report" not in capsys.readouterr().err


def test_unseen_titles_with_a_trained_text_are_counted_apart(
    micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They come back since another title with the same text was trained: this is not what unseen titles show."""
    text, colours = "A red mug of steel.", ("Oak", "Wool", "Glass", "Silk")
    unseen = [(f"{colour} Kite", text) for colour in colours[:3]] + [("Blue Lamp", "A lamp for the night, 40 cm.")]
    write_data_set(tmp_path / "data", [(f"{colour} Mug {n}", text) for n in range(5) for colour in colours], val=unseen)
    data, run = Prepared(str(tmp_path / "data"), None), tmp_path / "run"
    sizes = {"limit": None, "epochs": 30, "learning_rate": 2e-2}
    train(small_config(data, micro_base, run, **sizes, recall=True))
    at_end = read_report(run)
    printed = [capsys.readouterr().out]
    recall(RecallConfig(run=str(run), all=True))
    printed.append(capsys.readouterr().out)

    for report, lines in zip((at_end, read_report(run)), printed, strict=True):
        assert report.seen is not None
        assert report.seen.whole.value == 1
        assert report.unseen is not None
        assert (report.unseen.records, report.unseen.whole.value) == (1, 0)
        assert report.same_text is not None
        assert (report.same_text.records, report.same_text.whole.value) == (3, 1)
        assert "3 more unseen records have a text that was trained under another title: 100.0% of them" in lines
        assert num_asked(report) == 24


def test_a_sample_is_a_part_and_a_person_can_read_the_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recall(RecallConfig(run=str(run), sample=5, overwrite=True))

    report, printed = read_report(run), capsys.readouterr().out
    assert report.seen is not None
    assert report.unseen is not None
    assert (report.seen.records, report.unseen.records) == (5, 5)
    assert "what comes back word for word, after step 4" in printed
    assert "of 5 records" in printed
    assert "bits a parameter" in printed
    for kind in ("English in trained", "English in never trained", "Portuguese in never trained"):
        assert re.search(rf"seen, asked in {kind} wordings \(\d+\): whole .* of 5 records\n", printed)
    assert json.loads((run / names.RECALL).read_text())["step"] == 4


def test_settings_that_exclude_each_other_and_a_run_that_is_none_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="all and sample exclude each other"):
        RecallConfig(run="run", all=True, sample=3)
    with pytest.raises(UserError, match="no run in"):
        recall(RecallConfig(run=str(tmp_path)))
