"""A run whose settings its recipe decides: what it prints, keeps and goes on with."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from contract.errors import UserError
from tests.conftest import write_data_set
from trainer.config import TrainConfig
from trainer.facts import titles_a_record
from trainer.plan.data_sets import open_data
from trainer.recipes.recipe import SEED
from trainer.runs.metrics import read_metrics
from trainer.runs.settings import load_train_config
from trainer.train import train


def test_without_settings_the_recipe_decides_and_a_resume_goes_on_with_it(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(TrainConfig(data=(prepared.root,), run=str(run), base=str(micro_base), limit=30, max_steps=2, lora_rank=4))

    told = capsys.readouterr().out
    assert "recipe remember: to bring 30 descriptions back word for word; as given: lora_rank" in told
    assert "expected: about 0 of your 30 descriptions" in told
    assert "the learning rate is assumed from SmolLM2-135M: on a GPU a trial finds it" in told
    assert "to remember more: no --max-steps" in told
    kept = json.loads((run / "config.json").read_text())["config"]
    assert all(kept[name] is not None for name in asdict(SEED))
    assert (kept["recipe"], kept["lora_rank"], kept["lora_alpha"]) == ("remember", 4, 8)
    document = json.loads((run / "expectation.json").read_text())
    assert document["records"] == 30
    assert document["expected"]["share"] < 0.01
    assert document["reached"]["value"] == 0
    assert "reached: 0.0% of the seen records come back whole; expected were 0.0%" in told

    with pytest.raises(UserError, match="was begun with recipe = remember, and recipe = style is given"):
        load_train_config(file=None, overrides={"run": str(run), "resume": True, "recipe": "style"})
    train(load_train_config(file=None, overrides={"run": str(run), "resume": True, "max_steps": 4}))
    assert "recipe remember: to bring 30 descriptions back word for word; as the run began" in capsys.readouterr().out
    again = json.loads((run / "config.json").read_text())["config"]
    assert again == kept | {"resume": True, "max_steps": 4}
    assert len(read_metrics(run)) == 4


def test_records_that_share_a_title_are_counted_up_to_the_limit(
    micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [(f"Lamp {number // 2}", f"A lamp with {number} arms.") for number in range(20)]
    write_data_set(tmp_path / "data", pairs, shard_rows=8)
    config = TrainConfig(
        data=(str(tmp_path / "data"),), run=str(tmp_path / "run"), base=str(micro_base), limit=12, max_steps=1,
        lora_rank=4, recipe="seed",
    )  # fmt: skip
    data = open_data(config.data, limit=config.limit)
    assert titles_a_record(data) == 0.5
    assert titles_a_record([*data, replace(data[0], limit=4)]) == 6 / 16
    train(config)
    assert "  6 cannot: their title stands for several descriptions" in capsys.readouterr().out


def test_a_run_from_before_there_were_recipes_goes_on_as_it_began(prepared, micro_base: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = {"limit": 30, "max_steps": 1, "recipe": "seed", "recall": False}
    train(TrainConfig(data=(prepared.root,), run=str(run), base=str(micro_base), **settings))
    for path, part in (
        (run / "config.json", "config"),
        (run / "checkpoints" / "step-000001" / "state.json", "identity"),
    ):
        document = json.loads(path.read_text())
        for name in ("recipe", "adam_beta2"):
            del document[part][name]
        path.write_text(json.dumps(document))

    config = load_train_config(file=None, overrides={"run": str(run), "resume": True, "epochs": 1, "max_steps": 2})
    assert config.recipe == "seed"
    train(config)
    assert json.loads((run / "config.json").read_text())["config"]["adam_beta2"] == 0.999
