"""Trials find the largest pass that fits, and choose the fastest precision that is right."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict

from contract.errors import UserError
from tests.trainer.native.native_models import make_packs
from trainer.config import TrainConfig
from trainer.engines.base import add_lora, load_base
from trainer.native import NativeModel, Trial, build_native, trial, try_precisions
from trainer.native.trial import find_fit, judge
from trainer.recipes.recipe import SEED
from trainer.runs import names
from trainer.runs.metrics import read_metrics
from trainer.runs.precision import chosen_precision, write_trials
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


NF4 = Trial("nf4", 100.0, (2.0, 1.0), "")
BF16 = Trial("bf16", 120.0, (2.001, 1.0), "")
FP8 = Trial("fp8", 150.0, (2.005, 0.998), "")


@pytest.mark.parametrize(
    ("trials", "chosen"),
    [
        ([NF4, BF16, FP8], "fp8"),
        ([NF4, BF16, replace(FP8, losses=(2.007, 1.0))], "bf16"),
        ([NF4, BF16, replace(FP8, losses=(2.0, 1.004))], "bf16"),
        ([NF4, replace(BF16, tokens_per_s=99.0), replace(FP8, losses=(1.9, 0.9))], "nf4"),
        ([NF4, Trial("bf16", None, None, "does not fit"), FP8], "fp8"),
        ([NF4, replace(BF16, losses=(2.0, float("nan"))), Trial("fp8", None, None, "needs another GPU")], "nf4"),
    ],
)
def test_the_fastest_right_precision_is_chosen(trials: list[Trial], chosen: str) -> None:
    judged = judge(trials)

    assert [trial.precision for trial in judged if trial.is_chosen] == [chosen]
    unmeasured = [(trial.precision, trial.verdict) for trial in trials if trial.losses is None]
    assert [(trial.precision, trial.verdict) for trial in judged if trial.losses is None] == unmeasured


def test_a_verdict_says_after_how_many_updates_the_loss_went_wrong() -> None:
    judged = judge([NF4, BF16, replace(FP8, losses=(2.0, 1.004))])

    assert [trial.verdict for trial in judged] == [
        "right", "right", "loss differs by 0.40% after 1 updates, allowed 0.30%",
    ]  # fmt: skip


def test_without_a_loss_to_hold_them_against_no_precision_is_chosen() -> None:
    with pytest.raises(UserError, match="in nf4: does not fit"):
        judge([Trial("nf4", None, None, "does not fit"), BF16])


def test_precisions_are_tried_on_the_loaded_base(micro_base: Path) -> None:
    model = add_lora(
        load_base(str(micro_base), device=torch.device("cpu")), TrainConfig(data=("-",), run="-"), recipe=SEED
    )

    before = get_peft_model_state_dict(model)
    before = {name: value.clone() for name, value in before.items()}

    packs = make_packs([[17, 70, 5], [64, 33]])
    trials = try_precisions(model, packs, max_length=128, most=256, learning_rate=1e-3)

    assert [trial.precision for trial in trials] == ["nf4", "bf16", "fp8"]
    nf4, bf16, fp8 = (trial.losses for trial in trials)
    assert list(nf4) == sorted(nf4, reverse=True), "the same packs are trained on again and again"
    assert bf16 == pytest.approx(nf4, rel=1e-5)
    assert fp8 == pytest.approx(nf4, rel=trial.LARGEST_LOSS_DIFFERENCE)
    assert all(trial.tokens_per_s > 0 for trial in trials)
    after = get_peft_model_state_dict(model)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_precision_whose_gradients_are_wrong_is_found_out(micro_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss before any update is right."""
    model = add_lora(
        load_base(str(micro_base), device=torch.device("cpu")), TrainConfig(data=("-",), run="-"), recipe=SEED
    )

    def build(model: PeftModel, *, precision: str) -> NativeModel:
        native = build_native(model, precision=precision)
        if precision == "bf16":
            native.adapter_LP.register_hook(torch.neg)
        return native

    monkeypatch.setattr(trial, "build_native", build)
    packs = make_packs([[17, 70, 5], [64, 33]])
    nf4, bf16, _ = try_precisions(model, packs, max_length=128, most=256, learning_rate=3e-3)

    assert bf16.losses[0] == pytest.approx(nf4.losses[0], rel=1e-5)
    assert "loss differs" in bf16.verdict


def test_a_run_keeps_the_precision_that_its_trial_chose(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    config = TrainConfig(
        data=(prepared.root,), run=str(run), base=str(micro_base), engine="native", base_precision="auto",
        recipe="seed",
        max_length=128, tokens_per_step=256, limit=30, max_steps=2,
    )  # fmt: skip
    train(config)
    first = chosen_precision(run)
    printed = capsys.readouterr().out
    assert f"engine native: as asked for; base in {first}, 256 tokens at once" in printed
    assert [word in printed for word in ("nf4: ", "bf16: ", "fp8: ", "tokens/s, right (chosen)")] == [True] * 4
    document = json.loads((run / names.TRIALS).read_text())
    assert [trial["precision"] for trial in document["trials"] if trial["is_chosen"]] == [first]

    other = [Trial(precision, 1.0, (1.0,), "right", precision != first) for precision in (first, "fp8", "bf16")]
    train(replace(config, resume=True, max_steps=4))
    assert len(read_metrics(run)) == 4
    write_trials(run, other)
    with pytest.raises(UserError, match=f"base_precision was '{first}' and is"):
        train(replace(config, resume=True, max_steps=6))
    (run / names.TRIALS).unlink()
    with pytest.raises(UserError, match="give --base-precision"):
        train(replace(config, resume=True, max_steps=6))
