"""Trials find what fits, and choose the fastest precision that is right."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from contract.errors import UserError
from tests.trainer.native_models import make_packs
from trainer.config import TrainConfig
from trainer.engine import chosen_precision, write_trials
from trainer.metrics import read_metrics
from trainer.model import add_lora, load_base
from trainer.native import Trial, trial, try_precisions
from trainer.native.trial import find_fit, judge
from trainer.run import TRIALS_NAME
from trainer.train import train

NUM_LAYERS = 22


@pytest.mark.parametrize("max_length", [128, 2_048])
@pytest.mark.parametrize("most_packs", [1, 2, 3, 16, 100])
@pytest.mark.parametrize("room", [0, 3_000, 10_000, 100_000, 1_000_000, 10_000_000])
@pytest.mark.parametrize("bend", [0.0, 1e-4])
def test_what_is_found_fits_and_no_more_would(max_length: int, most_packs: int, room: int, bend: float) -> None:
    """Of two packs on, memory grows linearly; with a bend, faster than two passes say."""

    def taken(tokens: int, num_recomputed: int) -> int:
        return int(2_000 + tokens * (3 if num_recomputed else 40) + bend * tokens**2)

    def measure(tokens: int, num_recomputed: int) -> int | None:
        bytes_ = taken(tokens, num_recomputed)
        return None if bytes_ > 1.1 * room else bytes_  # the device has a little more than may be used

    most = most_packs * max_length
    if taken(max_length, NUM_LAYERS) > room:
        with pytest.raises(UserError, match=f"a pack of {max_length} tokens does not fit"):
            find_fit(measure, room=room, max_length=max_length, most=most, num_layers=NUM_LAYERS)
        return
    fit = find_fit(measure, room=room, max_length=max_length, most=most, num_layers=NUM_LAYERS)

    assert fit.tokens % max_length == 0
    assert max_length <= fit.tokens <= most
    assert taken(fit.tokens, fit.num_recomputed) <= room
    assert (fit.num_recomputed == 0) == (taken(max_length, 0) <= room)
    packs = fit.tokens // max_length
    more = packs + (max(1, packs // 4) if bend else 1)
    assert more > most_packs or taken(more * max_length, fit.num_recomputed) > room


NF4 = Trial("nf4", 100.0, 2.0, "")
BF16 = Trial("bf16", 120.0, 2.001, "")
FP8 = Trial("fp8", 150.0, 2.005, "")


@pytest.mark.parametrize(
    ("trials", "chosen"),
    [
        ([NF4, BF16, FP8], "fp8"),
        ([NF4, BF16, replace(FP8, loss=2.007)], "bf16"),
        ([NF4, replace(BF16, tokens_per_s=99.0), replace(FP8, loss=1.9)], "nf4"),
        ([NF4, Trial("bf16", None, None, "does not fit"), FP8], "fp8"),
        ([NF4, replace(BF16, loss=float("nan")), Trial("fp8", None, None, "needs another GPU")], "nf4"),
    ],
)
def test_the_fastest_right_precision_is_chosen(trials: list[Trial], chosen: str) -> None:
    judged = judge(trials)

    assert [trial.precision for trial in judged if trial.is_chosen] == [chosen]
    assert [trial.verdict for trial in judged if trial.loss is None] == [t.verdict for t in trials if t.loss is None]
    assert all("loss differs" in trial.verdict for trial in judged if trial.loss and abs(trial.loss - 2.0) > 0.006)


def test_without_a_loss_to_hold_them_against_no_precision_is_chosen() -> None:
    with pytest.raises(UserError, match="in nf4: does not fit"):
        judge([Trial("nf4", None, None, "does not fit"), BF16])


def test_precisions_are_tried_on_the_loaded_base(micro_base: Path) -> None:
    model = add_lora(load_base(str(micro_base), device=torch.device("cpu")), TrainConfig(data=("-",), run="-"))

    trials = try_precisions(model, make_packs([[17, 70, 5], [64, 33]]), max_length=128, most=256)

    assert [trial.precision for trial in trials] == ["nf4", "bf16", "fp8"]
    losses = [trial.loss for trial in trials]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[2] == pytest.approx(losses[0], rel=trial.LARGEST_LOSS_DIFFERENCE)
    assert all(trial.tokens_per_s > 0 for trial in trials)


def test_a_run_keeps_the_precision_that_its_trial_chose(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    config = TrainConfig(
        data=(prepared.root,), run=str(run), base=str(micro_base), engine="native", base_precision="auto",
        max_length=128, tokens_per_step=256, limit=30, max_steps=2,
    )  # fmt: skip
    train(config)
    first = chosen_precision(run)
    told = capsys.readouterr().out
    assert f"engine native: as asked for; base in {first}, 256 tokens at once" in told
    assert [word in told for word in ("nf4: ", "bf16: ", "fp8: ", "tokens/s, right (chosen)")] == [True] * 4
    document = json.loads((run / TRIALS_NAME).read_text())
    assert [trial["precision"] for trial in document["trials"] if trial["is_chosen"]] == [first]

    other = [Trial(precision, 1.0, 1.0, "right", precision != first) for precision in (first, "fp8", "bf16")]
    train(replace(config, resume=True, max_steps=4))
    assert len(read_metrics(run)) == 4
    write_trials(run, other)
    with pytest.raises(UserError, match=f"base_precision was '{first}' and is"):
        train(replace(config, resume=True, max_steps=6))
    (run / TRIALS_NAME).unlink()
    with pytest.raises(UserError, match="give --base-precision"):
        train(replace(config, resume=True, max_steps=6))
