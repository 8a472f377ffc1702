"""The probe while training: when it measures, what it leaves behind, and that training does not notice it."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.audits import ledger_text, losses
from tests.trainer.configs import small_config
from trainer.recall import probe as unit
from trainer.recall.probe import Schedule
from trainer.runs import names
from trainer.runs.metrics import read_recalls
from trainer.runs.recalls import Probed, read_report
from trainer.train import train


@pytest.fixture(name="probed", scope="module")
def _probed(prepared, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, with dropout, that was probed at every second step."""
    run = tmp_path_factory.mktemp("probed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unit, "_TIMES", 0)
        train(replace(dropping(prepared, micro_base, run), recall=True))
    return run


def dropping(prepared, base: Path, run: Path, **changes):
    return small_config(prepared, base, run, epochs=2, save_every=3, ledger=True, lora_dropout=0.2, **changes)


def test_training_is_the_same_to_the_last_bit_with_and_without_a_probe(
    probed: Path, prepared, micro_base: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(dropping(prepared, micro_base, run))

    assert [each.step for each in read_recalls(probed)] == [0, 2, 4, 6, 8, 10, 10]  # the last one is the end of the run
    assert losses(probed) == losses(run)
    assert ledger_text(probed) == ledger_text(run)
    adapters = [(each / names.ADAPTER / "adapter_model.safetensors").read_bytes() for each in (probed, run)]
    assert adapters[0] == adapters[1]
    assert not (run / names.RECALL).exists()
    assert read_recalls(run) == []


def test_a_resumed_run_goes_on_with_the_same_sample_and_measures_the_same(
    probed: Path, prepared, micro_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "_TIMES", 0)
    run = tmp_path / "run"
    config = replace(dropping(prepared, micro_base, run), recall=True)
    train(replace(config, max_steps=7))
    os.rename(run / "checkpoints" / "step-000007", tmp_path / "lost")  # goes on from step 6
    train(replace(config, resume=True))

    def shown(each: Probed) -> object:
        return each.step, each.seen, each.unseen

    whole, resumed = ([each for each in read_recalls(path) if each.step in (0, 2, 4, 6)] for path in (probed, run))
    assert list(map(shown, resumed[:1])) == list(map(shown, whole[:1]))  # of the base, measured once
    assert [each.seen.records for each in resumed] == [each.seen.records for each in whole]
    assert read_recalls(run)[-1].seen.loss_before == read_recalls(probed)[-1].seen.loss_before


def test_the_report_at_the_end_is_of_the_adapter_that_was_saved(probed: Path) -> None:
    report, last = read_report(probed), read_recalls(probed)[-1]

    assert (report.step, report.trained_records) == (10, 60)
    assert report.seen == last.seen
    assert report.seen is not None
    assert report.unseen is not None
    assert report.seen.loss_before is not None
    assert report.seen.loss_after < report.seen.loss_before - 0.02
    assert report.unseen.records == 12
    assert report.bits is not None
    assert report.neutral.keys() == {"English", "Portuguese"}


@pytest.mark.parametrize("probe_s", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("step_s", [0.02, 5.0])
def test_probes_take_less_than_two_per_cent_of_the_time_and_ranks_agree_on_them(probe_s: float, step_s: float) -> None:
    """The second rank's clock stands still; what is due is asked one step ahead, as in the loop."""
    now_s = 0.0
    first, second = Schedule(0, probe_s, clock=lambda: now_s), Schedule(0, probe_s, clock=lambda: 0.0)
    num_steps, measured_at, due = 3_000, [], [False]
    for step in range(1, num_steps + 1):
        due.append(first.is_due())  # of the next step
        now_s += step_s
        agreed = [each.is_agreed(due[step - 1], step=step) for each in (first, second)]
        assert agreed[0] == agreed[1]
        if agreed[0]:
            measured_at.append(step)
            began_s, now_s = now_s, now_s + probe_s
            first.measured(step, began_s=began_s)
            second.measured(step, began_s=0.0)

    share = len(measured_at) * probe_s / (num_steps * step_s)
    assert share < 0.02
    if num_steps * step_s > 1_000 * probe_s:
        assert share > 0.01 or np.diff(measured_at).max() <= 3  # no fewer than that allows
