"""A step's update: what it waits for, what it leaves undone, how it stays in the range of float16."""

import gc
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from tests.trainer.native.native_models import make_packs, make_peft_model
from trainer import step as unit
from trainer.config import TrainConfig
from trainer.engines.engine import NativeEngine, PlainEngine
from trainer.loop import without_long_collections
from trainer.native import build_native
from trainer.recipes.recipe import SEED, Recipe
from trainer.runs.checkpoint import LossScale
from trainer.runs.metrics import read_metrics
from trainer.step import StepCounts, TrainState, count_step, make_train_state, train_step
from trainer.stream.packs import StepPacks
from trainer.train import train

CONFIG = TrainConfig(data=("-",), run="-", weight_decay=0.0)
PACKS = tuple(make_packs([[17, 70, 5], [64, 1, 33]]))


def make_state(dtype: torch.dtype = torch.float32, *, recipe: Recipe = SEED) -> TrainState:
    model = make_peft_model("llama").to(dtype)
    engine = NativeEngine(model, build_native(model, precision="bf16"), tokens_per_batch=256, precision="bf16")
    return make_train_state(engine, Accelerator(cpu=True), config=CONFIG, recipe=recipe)


def take_step(state: TrainState, *, step: int = 1) -> list[float]:
    counts = StepCounts(*count_step(StepPacks(PACKS, {}), state.accelerator).get())
    batches = state.engine.batches(PACKS)
    return train_step(state, batches, config=CONFIG, rate=1e-3, step=step, counts=counts).get()


def adapter(state: TrainState) -> torch.Tensor:
    (values,) = state.engine.parameters()
    return values.detach().clone()


def test_counts_are_of_records_and_of_answer_tokens() -> None:
    counts = StepCounts(*count_step(StepPacks(PACKS, {}), Accelerator(cpu=True)).get())

    assert (counts.records, counts.tokens) == (6, 17 + 70 + 5 + 64 + 1 + 33)
    assert counts.answer_tokens == sum(pack.num_answer_tokens for pack in PACKS)
    assert (counts.skipped_records, counts.ranks_over, counts.ranks_failed) == (0, 0, 0)
    last = StepPacks((), {}, num_skipped=7, is_over=True)
    counts = StepCounts(*count_step(last, Accelerator(cpu=True), has_failed=True).get())
    assert counts == StepCounts(0, 0, 0, 0, 0, skipped_records=7, ranks_over=1, ranks_failed=1)


@pytest.mark.parametrize("recipe", [SEED, replace(SEED, optimizer="muon")])
def test_after_a_step_that_is_no_number_nothing_is_updated(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by the next step, which is launched before anybody has read of this one."""
    state = make_state(recipe=recipe)
    take_step(state)
    before = adapter(state)
    monkeypatch.setattr(NativeEngine, "loss", lambda self, _: self.parameters()[0].sum() * torch.nan)
    assert not torch.isfinite(torch.tensor(take_step(state))).any()
    assert torch.equal(adapter(state), before)

    monkeypatch.undo()
    assert torch.isfinite(torch.tensor(take_step(state))).all()
    assert torch.equal(adapter(state), before)


@pytest.mark.parametrize("first_scale", [2.0**10, 2.0**16, 2.0**40])
def test_the_loss_scale_does_not_change_the_update(first_scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is too large is lowered until the same records' gradients are in range: none is passed over."""
    monkeypatch.setattr(unit, "_FIRST_SCALE", first_scale)
    exact, state = make_state(), make_state(torch.float16)
    for step in (1, 2, 3):
        assert take_step(state, step=step) == pytest.approx(take_step(exact, step=step), rel=5e-3)
    moved, right = adapter(state) - adapter(make_state()), adapter(exact) - adapter(make_state())
    assert torch.cosine_similarity(moved.flatten(), right.flatten(), dim=0) > 0.99
    assert state.loss_scale is not None
    assert state.loss_scale.value <= 2.0**24


def test_the_loss_scale_grows_again_and_is_only_for_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_STEPS_TO_GROW", 2)
    state = make_state(torch.float16)
    for step in (1, 2, 3):
        take_step(state, step=step)
    assert state.loss_scale == LossScale(2.0**17, steps=1)
    assert make_state().loss_scale is None


@pytest.mark.parametrize("engine", ["native", "plain"])
def test_a_run_in_float16_has_the_losses_of_one_in_float32(prepared, micro_base: Path, tmp_path: Path, engine) -> None:
    losses = []
    for compute_type in ("fp32", "fp16"):
        run = tmp_path / compute_type
        settings = {"recipe": "seed", "max_length": 128, "tokens_per_step": 512, "learning_rate": 5e-3, "limit": 30}
        train(
            TrainConfig(
                data=(prepared.root,),
                run=str(run),
                base=str(micro_base),
                engine=engine,
                compute_type=compute_type,
                **settings,
            )
        )
        losses.append([line["loss"] for line in read_metrics(run)])
    assert len(losses[0]) >= 3
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)


def test_plain_and_native_engines_have_the_same_optimizer() -> None:
    engine = PlainEngine(make_peft_model("llama"))
    plain = make_train_state(engine, Accelerator(cpu=True), config=CONFIG, recipe=SEED)
    (group,), (native,) = plain.optimizer.param_groups, make_state().optimizer.param_groups
    assert {name: value for name, value in group.items() if name != "params"} == {
        name: value for name, value in native.items() if name != "params"
    }
    assert sum(p.numel() for p in group["params"]) == sum(p.numel() for p in native["params"])


def test_a_full_collection_during_training_looks_at_what_training_made_alone() -> None:
    before = len(gc.get_objects())
    with without_long_collections():
        during = len(gc.get_objects())
    after = len(gc.get_objects())

    assert during < before / 10
    assert after > 0.9 * before
    assert gc.get_freeze_count() == 0
