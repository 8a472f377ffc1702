"""Unsloth as an engine: when it is chosen, the message when it cannot run, and, where it is installed, its losses.

On a machine without a GPU Unsloth trains with the layers of transformers; on one with a GPU, with its own kernels.
"""

import importlib.util
import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict

from contract.errors import UserError
from tests.trainer.launches import launch
from tests.trainer.native.native_models import make_packs
from trainer.config import TrainConfig
from trainer.engines import engine as unit
from trainer.engines import unsloth_engine
from trainer.engines.base import load_adapter
from trainer.engines.engine import PlainEngine, check_engine, choose_engine
from trainer.engines.scores import joined
from trainer.recipes.recipe import SEED
from trainer.runs.metrics import read_metrics
from trainer.train import main

CONFIG = TrainConfig(data=("-",), run="-", engine="unsloth", max_length=128, tokens_per_step=256)
RECIPE = replace(SEED, max_length=128, tokens_per_step=256)
CPU, GPU = torch.device("cpu"), torch.device("cuda")
is_missing = importlib.util.find_spec("unsloth") is None


def _no_load() -> PeftModel:
    raise AssertionError("Unsloth loads the base itself")


def _choose(config: TrainConfig, *, device: torch.device = CPU) -> tuple[unit.Engine, str]:
    return choose_engine(_no_load, config, recipe=RECIPE, base="-", device=device)


@pytest.mark.skipif(not is_missing, reason="Unsloth is installed")
def test_where_it_is_not_installed_a_run_that_asks_for_it_is_refused_before_a_base_is_made(
    prepared, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    code = main(["--data", prepared.root, "--run", str(run), "--base", "tiny", "--engine", "unsloth"])

    printed = capfd.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(printed) == 1
    assert printed[-1].endswith("Unsloth is not installed; from the project's folder: pip install '.[unsloth]'")
    assert not run.exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no kernel for this GPU')", r"\(exit code 1\): RuntimeError: no kernel for this GPU"),
        ("import os; os._exit(3)", r"\(exit code 3\)"),
        ("import os; os.abort()", r"\(exit code -6\)"),
    ],
    ids=["raises", "exits", "dies"],
)
def test_a_package_that_fails_fails_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    """A package of that name that cannot be used, in place of the real one."""
    (tmp_path / "unsloth.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(UserError, match=f"Unsloth fails on a small model {reason}"):
        _choose(CONFIG)
    assert "unsloth" not in sys.modules


def test_a_package_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unsloth.py").write_text("import time; time.sleep(600)")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(unsloth_engine, "PROBE_S", 1)

    with pytest.raises(UserError, match="did not train a small model within 1 s"):
        _choose(CONFIG)


@pytest.mark.parametrize("engine", ["plain", "unsloth"])
def test_a_precision_that_only_the_native_engine_has_is_refused(engine: Any) -> None:
    with pytest.raises(UserError, match=f"engine = {engine} takes the base as it is loaded.* base_precision = fp8"):
        check_engine(replace(CONFIG, engine=engine, base_precision="fp8"))


def test_auto_takes_it_after_the_native_engine_and_says_why_neither_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is a GPU by name alone: neither engine gets as far as to use it."""

    def probe(device_type: str) -> None:
        raise UserError(f"Unsloth is not installed for {device_type}")

    monkeypatch.setattr(unsloth_engine, "_probe", probe)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    model = torch.nn.Linear(1, 1)
    config = replace(CONFIG, engine="auto", lora_dropout=0.1, base_precision="fp8")

    recipe = replace(RECIPE, base_precision="fp8")
    engine, why = choose_engine(lambda: model, config, recipe=recipe, base="-", device=GPU)

    assert isinstance(engine, PlainEngine)
    assert why == (
        "the native engine cannot: the native engine has no dropout, and lora_dropout = 0.1; nor can Unsloth:"
        " Unsloth is not installed for cuda; the base stays in nf4"
    )


@pytest.mark.parametrize("max_tokens", [1, 100, 128, 256, 10_000])
def test_batches_hold_every_pack_whole_and_in_order(max_tokens: int) -> None:
    packs = make_packs([[60, 40], [100, 28], [5], [128], [1, 2, 3]])

    batches = joined(packs, max_tokens=max_tokens)

    assert [e for batch in batches for e in batch.examples] == [e for pack in packs for e in pack.examples]
    most = max(max_tokens, *(pack.num_tokens for pack in packs))
    assert all(batch.num_tokens <= most for batch in batches)
    assert all(first.num_tokens + second.num_tokens > max_tokens for first, second in itertools.pairwise(batches))


@pytest.mark.slow
@pytest.mark.skipif(is_missing, reason="Unsloth is not installed")
def test_it_learns_packs_as_plain_transformers_do_on_any_number_of_ranks(
    prepared, micro_base: Path, tmp_path: Path
) -> None:
    """In processes of their own, since Unsloth changes the libraries of this one."""
    options = ["--data", prepared.root, "--base", str(micro_base), "--max-length", "128", "--tokens-per-step", "512"]
    options += [
        "--recipe",
        "seed",
        "--max-steps",
        "4",
        "--save-every",
        "2",
        "--compute-type",
        "fp32",
        "--learning-rate",
        "1e-3",
    ]
    losses = {}
    for engine, num_processes in (("plain", 1), ("unsloth", 1), ("unsloth", 2)):
        run = tmp_path / f"{engine}-{num_processes}"
        training = launch("launch.cli", "train", *options, "--engine", engine, run=run, num_processes=num_processes)
        assert training.finish() == 0, training.text()
        losses[run.name] = [line["loss"] for line in read_metrics(run)]
    assert losses["unsloth-1"] == pytest.approx(losses["plain-1"], rel=1e-4)
    assert losses["unsloth-2"] == pytest.approx(losses["unsloth-1"], rel=1e-5)

    states = [
        get_peft_model_state_dict(load_adapter(str(micro_base), str(tmp_path / name / "adapter"), device=CPU))
        for name in ("plain-1", "unsloth-1")
    ]
    assert list(states[0]) == list(states[1])
    assert all(torch.allclose(states[0][name], value, atol=1e-4) for name, value in states[1].items())
