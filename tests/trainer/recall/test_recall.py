"""`vitrine recall` on a finished run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from contract.errors import UserError
from tests.trainer.configs import small_config
from trainer.config import RecallConfig
from trainer.recall.recall import main, recall
from trainer.runs import names
from trainer.runs.recalls import Report, read_report
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


def test_a_sample_is_a_part_and_a_person_can_read_the_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recall(RecallConfig(run=str(run), sample=5))

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
