"""Trials find the largest pass that fits, in a precision that computes the same function."""

from dataclasses import replace
from pathlib import Path

import pytest

from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.native.trial import find_fit
from trainer.runs.metrics import read_metrics
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


def test_a_run_goes_on_in_another_precision_of_the_same_function_and_in_no_other(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    config = TrainConfig(
        data=(prepared.root,), run=str(run), base=str(micro_base), engine="native",
        max_length=128, tokens_per_step=256, limit=30, max_steps=2,
    )  # fmt: skip
    train(config)
    assert "engine native: as asked for; base in bf16, 256 tokens at once" in capsys.readouterr().out
    train(replace(config, resume=True, base_precision="nf4", max_steps=4))
    assert len(read_metrics(run)) == 4
    with pytest.raises(UserError, match="base_precision was 'nf4 or bf16' and is 'fp8'"):
        train(replace(config, resume=True, base_precision="fp8", max_steps=6))
