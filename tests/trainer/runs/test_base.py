"""A run belongs to the weights of one base, whatever name they have."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from contract.errors import UserError
from tests.trainer.bases.files import small_llama, write_gguf
from tests.trainer.configs import small_config
from trainer.answers.answerer import load_answerer
from trainer.train import train


def test_a_run_is_resumed_and_asked_only_on_the_weights_that_it_was_trained_on(
    prepared, micro_base: Path, tmp_path: Path
) -> None:
    base, run = tmp_path / "base", tmp_path / "run"
    shutil.copytree(micro_base, base)
    train(small_config(prepared, base, run, max_steps=1))
    config = json.loads((run / "config.json").read_text())
    assert config["config"]["base"] == str(base)
    assert len(config["identity"]["base weights"]) == 16
    assert load_answerer(run)

    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=r"was trained on a base whose weights have the digest \w+, and '.*base' has \w+"
    ):
        load_answerer(run)
    with pytest.raises(UserError, match=r"cannot be resumed: base weights was '\w+' and is '\w+'"):
        train(small_config(prepared, base, run, resume=True))


def test_a_run_on_a_gguf_file_keeps_its_name_and_finds_it_again(
    prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    reads = {"llama.context_length": 512}
    base, run = write_gguf(tmp_path / "model.gguf", small_llama(ties=True), reads), tmp_path / "run"
    train(small_config(prepared, base, run, max_steps=1, max_length=512))
    shutil.rmtree(tmp_path / "cache")

    assert json.loads((run / "config.json").read_text())["config"]["base"] == str(base)
    assert load_answerer(run)
