"""Whole trainings on a CPU, in this process: what they learn, what they leave, how they resume."""

import json
import os
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DistributedType
from peft import PeftModel
from transformers import AutoModelForCausalLM

from contract.errors import UserError
from tests.conftest import made_up_pairs
from tests.trainer.configs import small_config
from trainer import loop
from trainer.answers.answer import ask
from trainer.answers.answerer import load_answerer
from trainer.answers.settings import AskConfig, EvaluateConfig
from trainer.engines.engine import PlainEngine
from trainer.engines.tiny import TinyShape, make_tiny_base
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.records import with_trained_text
from trainer.evaluation.schema import read_evaluation
from trainer.examples.encoder import Record
from trainer.loop import learning_rate
from trainer.recipes.recipe import SEED
from trainer.runs.folder import temporary_base
from trainer.runs.metrics import read_metrics
from trainer.runs.ownership import RunLock
from trainer.runs.settings import load_train_config
from trainer.start import check_strategy
from trainer.train import main, train


@pytest.fixture(name="finished", scope="module")
def _finished(prepared, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs over 60 records."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(small_config(prepared, micro_base, run, epochs=2, save_every=3))
    return run


def test_training_learns_every_record_of_each_epoch_and_the_loss_falls(finished: Path) -> None:
    lines = read_metrics(finished)

    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    for epoch in (0, 1):
        assert sum(line["records"] for line in lines if line["epoch"] == epoch) == 60
    first, second = (
        sum(line["loss"] * line["answer_tokens"] for line in lines if line["epoch"] == epoch)
        / sum(line["answer_tokens"] for line in lines if line["epoch"] == epoch)
        for epoch in (0, 1)
    )
    assert second < first - 0.02  # some ten steps of a micro model
    assert all(line["learning_rate"] <= 5e-3 for line in lines)
    assert all(0 <= line["wait_s"] <= line["step_s"] for line in lines)


@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("num", [6, 10, 200, 10_000])
def test_the_learning_rate_reaches_its_peak_at_the_end_of_the_warm_up_and_then_falls_to_zero(
    num: int, warmup: int
) -> None:
    recipe = replace(SEED, learning_rate=0.01, warmup_steps=warmup)
    rates = [learning_rate(recipe, step=step, share=(step - 1) / num) for step in range(1, num + 1)]

    peak = max(0, warmup - 1)
    assert rates[peak] == max(rates) == 0.01
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[: peak + 1] == pytest.approx([0.01 * (step + 1) / max(1, warmup) for step in range(peak + 1)])
    straight = [0.01 * (num - step) / (num - peak) for step in range(peak, num)]  # the usual linear schedule
    assert rates[peak:] == pytest.approx(straight, abs=0.01 / (num - peak))


def test_the_adapter_is_a_standard_one(finished: Path, micro_base: Path) -> None:
    """Plain PEFT loads it onto the base, and it changes what the base says."""
    base = AutoModelForCausalLM.from_pretrained(micro_base)
    ids = torch.arange(20)[None]
    before = base(ids).logits.detach()
    model = PeftModel.from_pretrained(base, finished / "adapter")

    assert {config.peft_type for config in model.peft_config.values()} == {"LORA"}
    assert not torch.allclose(model(ids).logits, before, atol=1e-3)
    files = {path.name for path in (finished / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= files


def test_a_resumed_run_learns_the_records_that_were_left(
    finished: Path, prepared, micro_base: Path, tmp_path: Path
) -> None:
    whole = read_metrics(finished)
    run = tmp_path / "run"
    train(small_config(prepared, micro_base, run, epochs=2, save_every=3, max_steps=4))
    os.rename(run / "checkpoints" / "step-000004", tmp_path / "lost")  # the last one left is of step 3
    train(small_config(prepared, micro_base, run, epochs=2, save_every=3, resume=True))

    resumed = read_metrics(run)
    assert [line["step"] for line in resumed] == list(range(1, len(whole) + 1))
    # Steps 1 to 3 ran under another max_steps, so another rate: the records of each step are what must agree.
    assert [line["records"] for line in resumed] == [line["records"] for line in whole]


def test_the_same_seed_gives_the_same_losses_and_an_interrupted_run_goes_on_as_if_it_had_not_been(
    finished: Path, prepared, micro_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    steps = 0
    train_step = loop.train_step

    def interrupted(*arguments, **options):
        nonlocal steps
        steps += 1
        if steps == 5:
            raise KeyboardInterrupt
        return train_step(*arguments, **options)

    monkeypatch.setattr(loop, "train_step", interrupted)
    config = small_config(prepared, micro_base, run, epochs=2, save_every=3)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.undo()
    assert len(read_metrics(run)) == 3  # of the fourth step nobody had asked yet

    train(small_config(prepared, micro_base, run, epochs=2, save_every=3, resume=True))

    assert [line["loss"] for line in read_metrics(run)] == [line["loss"] for line in read_metrics(finished)]


@pytest.mark.parametrize("changes", [{}, {"tokens_per_batch": 256}], ids=["one batch a step", "several"])
def test_the_native_engine_learns_what_the_plain_one_learns(
    finished: Path, prepared, micro_base: Path, tmp_path: Path, changes: dict
) -> None:
    """Losses agree to rounding, through a stop and a resume, and plain PEFT loads what was learnt."""
    run = tmp_path / "run"
    config = {"epochs": 2, "save_every": 3, "engine": "native", **changes}
    train(small_config(prepared, micro_base, run, max_steps=4, **config))
    shutil.rmtree(run / "checkpoints" / "step-000004")
    train(small_config(prepared, micro_base, run, resume=True, **config))
    whole = tmp_path / "whole"
    train(small_config(prepared, micro_base, whole, **config))

    plain, native = ([line["loss"] for line in read_metrics(path)] for path in (finished, whole))
    assert native == pytest.approx(plain, rel=2e-3)
    assert [line["records"] for line in read_metrics(run)] == [line["records"] for line in read_metrics(finished)]
    answers = [load_answerer(path).answer("Red Cotton number 0", max_new_tokens=4) for path in (whole, finished)]
    assert answers[0] == answers[1]


def test_a_checkpoint_is_refused_where_the_run_has_become_another(finished: Path, prepared, micro_base: Path) -> None:
    before = (finished / "config.json").read_text()

    config = small_config(prepared, micro_base, finished, epochs=2, resume=True, max_length=256, learning_rate=0.5)
    with pytest.raises(UserError, match=r"max_length was 128 and is 256; learning_rate was 0.005 and is 0.5"):
        train(config)
    assert (finished / "config.json").read_text() == before


@pytest.mark.parametrize("in_file", [True, False])
def test_a_resume_takes_the_settings_that_it_is_not_given_from_the_run(
    finished: Path, tmp_path: Path, in_file: bool
) -> None:
    file, overrides = tmp_path / "settings.toml", {"run": str(finished), "resume": True, "log_every": 7}
    file.write_text(f"run = '{finished}'\nresume = true\nlog_every = 7\n")

    config = (
        load_train_config(file=str(file), overrides={})
        if in_file
        else load_train_config(file=None, overrides=overrides)
    )

    began = json.loads((finished / "config.json").read_text())["config"]
    assert asdict(config) == began | {"data": tuple(began["data"]), "resume": True, "log_every": 7}


def test_a_loss_that_is_no_number_stops_the_run_before_the_update(
    prepared, micro_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlainEngine, "loss", lambda self, _: sum(p.sum() for p in self.parameters()) * torch.nan)

    with pytest.raises(UserError, match="step 1: loss nan"):
        train(small_config(prepared, micro_base, tmp_path / "run"))
    assert not (tmp_path / "run" / "adapter").exists()


def test_a_question_is_cleaned_and_worded_as_in_training(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def asked(question: str, **options: bool) -> str:
        ask(AskConfig(run=str(finished), question=question, max_new_tokens=8, json=True, **options))
        return json.loads(capsys.readouterr().out)["answer"]

    known = load_answerer(finished).answer("Red Cotton number 0", max_new_tokens=8)
    assert asked("What is Red &amp;quot;Cotton&quot; number 0?") == known
    assert asked("Red Cotton number 0", as_title=True) == known
    with pytest.raises(UserError, match="nothing is left"):
        asked("???")


def test_only_what_was_learnt_counts_as_seen(
    finished: Path, other_prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(EvaluateConfig(run=str(finished), seen=100, unseen=1, max_new_tokens=1))
    assert "60 seen titles" in capsys.readouterr().out  # the run was limited to as many
    titles = read_evaluation(finished).titles
    assert all(title.source.uid == f"train0-{title.source.row}" for title in titles if title.kind == "seen")
    pairs = dict(made_up_pairs(312))
    assert all(
        pairs[title.title] == title.truth and f"number {title.source.row}" in title.title for title in titles[:60]
    )
    assert (titles[-1].source.uid, titles[-1].source.shard[:5]) == ("test0-0", "test/")

    texts = [Record(row, "Another title", made_up_pairs(312)[row][1]) for row in (0, 59, 60, 301)]
    assert with_trained_text(finished, texts, data=None) == [True, True, False, False]

    evaluate(EvaluateConfig(run=str(finished), seen=6, unseen=0, max_new_tokens=1, json=True))
    printed = json.loads(capsys.readouterr().out)
    assert (printed["seen"]["titles"], printed["unseen"], printed["titles"]) == (6, None, [])
    assert printed["verdict"]["learned"] in ("nothing", "style", "part", "remembers")

    with pytest.raises(UserError, match="but this run was trained on"):
        evaluate(EvaluateConfig(run=str(finished), data=(other_prepared.root,)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": "nowhere/none"}, "no such base model: 'nowhere/none'"),
        ({"data": "/nowhere"}, "no manifest.json in /nowhere"),
        ({"resume": True}, "nothing to resume"),
        ({"max_length": 1}, "max_length = 1, expected an integer of at least "),
        ({"base": "tiny", "max_length": 8}, "max_length = 8, expected an integer of at least "),
    ],
)
def test_a_users_mistake_is_told_with_code_2_and_leaves_nothing(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes, message
) -> None:
    run = tmp_path / "run"
    values = {"data": prepared.root, "base": str(micro_base), "resume": False, "max_length": 128} | changes
    argv = [f"--{name.replace('_', '-')}={values[name]}" for name in ("data", "base", "max_length")] + [f"--run={run}"]

    assert main([*argv, "--tokens-per-step=512", *(["--resume"] if values["resume"] else [])]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("strategy", list(DistributedType))
def test_only_whole_copies_of_the_base_are_trained(strategy: DistributedType) -> None:
    """Sharding strategies cut up NF4's bytes as if they were numbers."""
    accelerator = SimpleNamespace(distributed_type=strategy)
    if strategy in (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU):
        check_strategy(accelerator)
        return
    with pytest.raises(UserError, match=f"configured for {strategy.value}, expected one whole copy of the base"):
        check_strategy(accelerator)


def test_what_is_no_run_is_not_touched(finished: Path, prepared, micro_base: Path, tmp_path: Path) -> None:
    before = json.loads((finished / "config.json").read_text())
    with pytest.raises(UserError, match="holds a run already: give --resume"):
        train(small_config(prepared, micro_base, finished))
    assert json.loads((finished / "config.json").read_text()) == before

    model = tmp_path / "model"  # a folder of somebody's model has a config.json, too
    shutil.copytree(micro_base, model)
    letters = tmp_path / "letters"
    (letters / "checkpoints").mkdir(parents=True)
    (letters / "checkpoints" / "love.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for folder, options in ((letters, {}), (model, {}), (model, {"overwrite": True})):
        with pytest.raises(UserError, match="is not empty and holds no run"):
            train(small_config(prepared, micro_base, folder, **options))
    with pytest.raises(UserError, match="cannot be the folder of a run"):
        train(small_config(prepared, micro_base, tmp_path / "file"))
    assert (letters / "checkpoints" / "love.txt").exists()
    assert "model_type" in (model / "config.json").read_text()


def test_a_tiny_base_is_made_and_kept_with_its_run(prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = TinyShape(vocabulary=400, hidden=64, layers=1, head=32, steps=2, max_length=128)
    monkeypatch.setattr("trainer.start.make_tiny_base", partial(make_tiny_base, shape=shape))
    run = tmp_path / "run"
    for overwrite in (False, True):
        train(small_config(prepared, Path("tiny"), run, max_steps=1, overwrite=overwrite))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert load_answerer(run).answer("Red Cotton", max_new_tokens=1) is not None


def test_a_run_that_another_training_writes_to_is_refused(finished: Path, prepared, micro_base: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with RunLock(finished) as other:
        other.take()
        with pytest.raises(UserError, match="another training writes to"):
            train(small_config(prepared, micro_base, finished, overwrite=True))

    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before
    with RunLock(finished) as free:
        free.take()


def test_a_tiny_base_that_another_training_makes_is_left_alone(prepared, tmp_path: Path) -> None:
    """Both are first starts of the same run, whose folder does not exist yet."""
    run = tmp_path / "run"
    base = temporary_base(run)
    with RunLock(base) as other:
        other.take(make_folder=True)
        (base / "config.json").write_text("half made")
        with pytest.raises(UserError, match=r"another training writes to .*\.run\.base\.tmp"):
            train(small_config(prepared, Path("tiny"), run))

    assert (base / "config.json").read_text() == "half made"
    assert not run.exists()
