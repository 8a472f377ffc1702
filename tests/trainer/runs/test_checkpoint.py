"""Checkpoints and the folder of a run survive a kill at any moment."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from transformers import AutoTokenizer

from contract.errors import UserError
from tests.trainer.crashes import kills
from tests.trainer.native.native_models import make_peft_model
from trainer.config import TrainConfig
from trainer.examples.prompt import Frame, PromptForm
from trainer.plan.data_sets import open_data
from trainer.runs.checkpoint import (
    LossScale,
    RunState,
    find_last,
    load_checkpoint,
    save_adapter,
    save_checkpoint,
)
from trainer.runs.folder import check_run, claim_run, read_info, temporary_base
from trainer.stream.cursor import Cursor, LanePosition

FRAME = Frame("<s>", "</s>")
IDENTITY = {"seed": 0, "data": [["id", "train", "7/10", None]]}
CURSOR = Cursor(1, 24, 90, {0: LanePosition(3, {2: (5, 9)}), 5: LanePosition(1, {})})


@pytest.fixture(name="model", scope="module")
def _model():
    torch.set_num_threads(1)
    return make_peft_model("llama")


def optimizer_of(model) -> torch.optim.Optimizer:
    return torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.1)


def save(run: Path, model, step: int) -> Path:
    return save_checkpoint(run, run_state(step), model=model, optimizer=optimizer_of(model))


def run_state(step: int, *, loss_scale: LossScale | None = None) -> RunState:
    return RunState(step, CURSOR, IDENTITY, cut_records=3, skipped_records=4, loss_scale=loss_scale)


def load(folder: Path, model, identity=IDENTITY) -> RunState:
    return load_checkpoint(folder, model=model, optimizer=optimizer_of(model), identity=identity)


def test_a_checkpoint_gives_back_what_was_saved(model, tmp_path: Path) -> None:
    optimizer = optimizer_of(model)
    weight = next(parameter for parameter in model.parameters() if parameter.requires_grad)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    saved = weight.detach().clone()
    state = run_state(7, loss_scale=LossScale(2.0**17, steps=3))
    folder = save_checkpoint(tmp_path, state, model=model, optimizer=optimizer)
    weight.data.zero_()

    again = optimizer_of(model)
    assert load_checkpoint(folder, model=model, optimizer=again, identity=IDENTITY) == state
    assert torch.equal(weight, saved)
    assert torch.equal(again.state[weight]["exp_avg"], optimizer.state[weight]["exp_avg"])


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "half of it there"])
def test_a_checkpoint_is_written_whole_or_not_at_all(model, tmp_path: Path, is_there: bool) -> None:
    """The one before it stays, and what a kill left does not hinder the next."""
    run = tmp_path / "run"

    def prepare() -> None:
        shutil.rmtree(run, ignore_errors=True)
        save(run, model, 5)
        if is_there:
            save(run, model, 10)
            (run / "checkpoints" / "step-000010" / "optimizer.pt").unlink()

    found = []
    for _ in kills(lambda: save(run, model, 10), folder=run, prepare=prepare):
        last = find_last(run)
        assert last is not None
        found.append(load(last, model).step)
        if not is_there:
            folders = (run / "checkpoints").glob("step-*")
            assert len({frozenset(path.name for path in folder.iterdir()) for folder in folders}) == 1
        assert load(save(run, model, 10), model).step == 10
        assert [path.name for path in sorted((run / "checkpoints").iterdir())] == ["step-000005", "step-000010"]
    assert len(found) > 5
    assert found == sorted(found)
    assert {found[0], found[-1]} == {5, 10}


def test_an_adapter_is_written_whole_or_not_at_all(model, micro_base: Path, tmp_path: Path) -> None:
    folder, sizes = tmp_path / "adapter", set()
    beside = {"tokenizer": AutoTokenizer.from_pretrained(micro_base), "forms": {"what-is": PromptForm("What is ", "?")}}
    for _ in kills(
        lambda: save_adapter(model, folder, **beside),
        folder=tmp_path,
        prepare=lambda: shutil.rmtree(folder, ignore_errors=True),
    ):
        sizes.add(len(list(folder.iterdir())) if folder.exists() else 0)
    whole = len(list(folder.iterdir()))
    assert sizes == {0, whole}


def test_the_last_checkpoint_is_the_one_of_the_highest_step(model, tmp_path: Path) -> None:
    assert find_last(tmp_path) is None
    for step in (999_999, 1_000_000, 20):
        save(tmp_path, model, step)
    (tmp_path / "checkpoints" / "step-2000000").mkdir()
    (tmp_path / "checkpoints" / "step-of-mine").mkdir()

    assert find_last(tmp_path) == tmp_path / "checkpoints" / "step-1000000"


@pytest.mark.parametrize("name", ["state.json", "adapter_model.safetensors", "optimizer.pt"])
def test_a_checkpoint_that_was_damaged_is_named(model, tmp_path: Path, name: str) -> None:
    folder = save(tmp_path, model, 5)
    (folder / name).write_bytes((folder / name).read_bytes()[:100])

    with pytest.raises(UserError, match=r"step-000005 cannot be read .*; delete it to go on from the one before"):
        load(folder, model)


def test_a_checkpoint_that_cannot_be_written_is_reported(model, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file in its way")

    with pytest.raises(UserError, match="step-000005 could not be written"):
        save(tmp_path, model, 5)


def test_every_difference_to_the_run_of_a_checkpoint_is_named(model, tmp_path: Path) -> None:
    folder = save(tmp_path, model, 5)
    identity = {"seed": 1, "data": [["id", "train", "3/10", None]]}

    with pytest.raises(UserError) as raised:
        load(folder, model, identity)
    assert "seed was 0 and is 1; data was [['id', 'train', '7/10', None]] and is" in str(raised.value)


def test_a_setting_that_an_older_checkpoint_lacks_counts_as_its_default(model, tmp_path: Path) -> None:
    """Here `lora_dropout`, whose default is 0."""
    folder = save(tmp_path, model, 5)

    now = IDENTITY | {"lora_dropout": 0.0}
    assert load(folder, model, now) == replace(run_state(5), identity=now)
    with pytest.raises(UserError, match=r"cannot be resumed: lora_dropout was 0\.0 and is 0\.1$"):
        load(folder, model, IDENTITY | {"lora_dropout": 0.1})
    with pytest.raises(UserError, match=r"cannot be resumed: seed was 0 and is 1$"):
        load(folder, model, now | {"seed": 1})


def test_the_loss_scale_of_an_older_checkpoint_is_found_in_its_optimizer(model, tmp_path: Path) -> None:
    optimizer = optimizer_of(model)
    optimizer.param_groups[0] |= {"loss_scale": 2.0**15, "steps_at_loss_scale": 7}
    folder = save_checkpoint(tmp_path, run_state(5), model=model, optimizer=optimizer)
    state = json.loads((folder / "state.json").read_text())
    del state["loss_scale"]
    (folder / "state.json").write_text(json.dumps(state))

    again = optimizer_of(model)
    loaded = load_checkpoint(folder, model=model, optimizer=again, identity=IDENTITY)
    assert loaded.loss_scale == LossScale(2.0**15, steps=7)
    assert "loss_scale" not in again.param_groups[0]


@pytest.mark.parametrize("base", ["tiny", "some/base"])
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "overwritten"])
def test_a_run_whose_start_was_killed_can_be_started_again(prepared, tmp_path: Path, base: str, is_there: bool) -> None:
    """Its folder is empty but for what is hidden, or that of a run, old or new, with whole checkpoints or none."""
    run = tmp_path / "run"
    data = open_data([prepared.root])
    config = TrainConfig(data=(prepared.root,), run=str(run), base=base, seed=1, overwrite=is_there)
    new_base = temporary_base(run) if base == "tiny" else None

    def prepare() -> None:
        shutil.rmtree(run, ignore_errors=True)
        if is_there:
            for name in ("checkpoints/step-000005", "adapter", "base", "ledger"):
                (run / name).mkdir(parents=True)
            for name in ("state.json", "optimizer.pt", "adapter_model.safetensors"):
                (run / "checkpoints" / "step-000005" / name).write_text("old")
                (run / "adapter" / name).write_text("old")
            (run / "metrics.jsonl").write_text('{"step": 5}\n')
            claim_run(
                TrainConfig(data=(prepared.root,), run=str(run), resume=True),
                data,
                identity={},
                frame=FRAME,
                new_base=None,
            )
        if new_base:
            new_base.mkdir(exist_ok=True)

    num_kills = 0
    for _ in kills(
        lambda: claim_run(config, data, identity={}, frame=FRAME, new_base=new_base), folder=tmp_path, prepare=prepare
    ):
        num_kills += 1
        if (run / "config.json").exists():
            seed = json.loads((run / "config.json").read_text())["config"]["seed"]
            assert seed == 1 or is_there
            assert find_last(run) is None or seed == 0
            for folder in (run / "checkpoints" / "step-000005", run / "adapter"):
                assert not folder.exists() or len(list(folder.iterdir())) == 3  # not half gone
            check_run(TrainConfig(data=(prepared.root,), run=str(run), resume=True))
            again = TrainConfig(data=(prepared.root,), run=str(run), base=base, overwrite=True)
        else:
            again = TrainConfig(data=(prepared.root,), run=str(run), base=base)
        check_run(again)
        if new_base:
            new_base.mkdir(exist_ok=True)
        claim_run(again, data, identity={}, frame=FRAME, new_base=new_base)
        assert sorted(path.name for path in run.iterdir()) == ["base"] * bool(new_base) + ["config.json"]
        with pytest.raises(UserError, match="has no adapter"):
            read_info(run)
    assert num_kills > (10 if is_there else 3)
