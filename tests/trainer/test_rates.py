"""The trial of learning rates: it finds the better one, and leaves nothing behind."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainer.config import TrainConfig
from trainer.engines.base import add_lora, load_base, load_tokenizer
from trainer.engines.engine import Engine, NativeEngine, PlainEngine
from trainer.examples.encoder import Encoder, Example
from trainer.native import build_native
from trainer.plan.data_sets import open_data
from trainer.rates import RateTrial, is_tried, judged, trial_text, try_rates, write_trials
from trainer.recipes.recipe import SEED, Machine
from trainer.stream.lanes import first_records

CONFIG = TrainConfig(data=("-",), run="-")
RECIPE = replace(SEED, max_length=128, tokens_per_step=256, lora_rank=8, lora_alpha=16)
BASE = Machine(hidden=576, base_parameters=134_515_008)


@pytest.fixture(name="examples", scope="module")
def _examples(prepared, micro_base: Path) -> list[Example]:
    records = first_records(open_data([prepared.root]), 24)
    return Encoder(load_tokenizer(str(micro_base)), max_length=128).encode(records)


def make_engine(kind: str, base: Path) -> Engine:
    model = add_lora(load_base(str(base), device=torch.device("cpu")), CONFIG, recipe=RECIPE)
    if kind == "plain":
        return PlainEngine(model)
    return NativeEngine(model, build_native(model, precision="bf16"), tokens_per_batch=256, precision="bf16")


@pytest.mark.parametrize("kind", ["plain", "native"])
def test_a_good_rate_is_found_and_the_adapter_is_as_it_was(
    kind: str, micro_base: Path, examples: list[Example]
) -> None:
    engine = make_engine(kind, micro_base)
    before = [parameter.detach().clone() for parameter in engine.parameters()]

    def trials() -> list[RateTrial]:
        return try_rates(engine, examples, config=CONFIG, recipe=RECIPE, rates=(1e-6, 1e-2), exposures=6)

    tiny, good = trials()
    assert (tiny.is_chosen, good.is_chosen) == (False, True)
    assert tiny.loss is not None
    assert good.loss is not None
    assert good.loss < tiny.loss - 0.1
    assert all(torch.equal(*pair) for pair in zip(before, engine.parameters(), strict=True))
    assert not any(parameter.grad is not None for parameter in engine.parameters())
    if kind == "plain":
        assert trials() == [tiny, good]  # so neither trial has left anything that another one sees


def test_a_rate_at_which_the_adapter_diverges_is_not_chosen(micro_base: Path, examples: list[Example]) -> None:
    engine = make_engine("plain", micro_base)
    good, wild = try_rates(engine, examples, config=CONFIG, recipe=RECIPE, rates=(5e-3, 1e30), exposures=2)
    assert (good.is_chosen, wild.is_chosen) == (True, False)
    assert wild.loss is None or wild.loss > 2 * (good.loss or math.inf)


def test_recall_decides_and_then_the_loss(tmp_path: Path) -> None:
    def chosen(*trials: tuple[float, float, float | None]) -> float:
        return next(trial.rate for trial in judged([RateTrial(*trial) for trial in trials]) if trial.is_chosen)

    assert chosen((1e-4, 0.0, 2.0), (1e-3, 0.4, 0.5), (2e-3, 0.9, 0.6)) == 2e-3
    assert chosen((1e-4, 0.0, 2.0), (1e-3, 0.0, 1.5), (2e-3, 0.0, None)) == 1e-3
    assert chosen((1e-4, 0.99, 0.01), (1e-3, 1.0, 0.02)) == 1e-4
    assert chosen((1e-3, 0.0, None), (2e-3, 0.0, None)) == 1e-3
    write_trials(tmp_path, judged([RateTrial(1e-3, 0.5, 0.25)]))
    written = {"rate": 1e-3, "first_32": 0.5, "loss": 0.25, "is_chosen": True}
    assert json.loads((tmp_path / "rates.json").read_text()) == {"trials": [written]}
    assert trial_text(RateTrial(1e-3, 0.5, 0.25, True), num_records=7).endswith(
        "50% come back for 32 tokens, loss 0.250 (chosen)"
    )


def test_only_a_rate_that_is_assumed_is_tried() -> None:
    other = replace(BASE, hidden=2_048, base_parameters=1_100_000_000)
    assert is_tried(CONFIG, other)
    assert not is_tried(CONFIG, BASE)
    assert not is_tried(replace(CONFIG, learning_rate=1e-3), other)
    assert not is_tried(replace(CONFIG, recipe="style"), other)
