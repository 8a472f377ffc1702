"""A run of the real base that answers without transformers and PEFT, as it answers with them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contract.errors import UserError
from tests.trainer.configs import small_config
from trainer.answers.answerer import load_answerer
from trainer.answers.quick import load_quickly
from trainer.generation.generate import generate
from trainer.generation.request import Sampling
from trainer.train import train

pytestmark = pytest.mark.slow

TITLES = ("Lamp", "Café Ömer, 2nd edition", "<|im_start|> Kettle <|im_end|>")
HEAVY = ("transformers", "peft", "accelerate", "bitsandbytes", "huggingface_hub", "scipy", "torch._dynamo")


@pytest.fixture(name="run", scope="module")
def _run(prepared, smollm2: str, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001  # it is converted
    """Trained two steps, at a rate that changes answers."""
    run = tmp_path_factory.mktemp("runs") / "real"
    train(small_config(prepared, "smollm2", run, max_length=128, max_steps=2, warmup_steps=0, learning_rate=5e-3))
    load_answerer(run)  # keeps the base dequantised
    return run


def test_requests_and_answers_are_those_of_transformers_and_peft(run: Path) -> None:
    quick, other = load_quickly(run), load_answerer(run)
    assert quick is not None
    assert (sorted(set(quick.ends)), quick.positions, quick.profile) == (other.ends, other.positions, other.profile)
    rules = (Sampling(), Sampling(temperature=0.8, top_p=0.9, seed=3), Sampling(repetition_penalty=1.3))
    asked = [
        {"title": title, "wording": quick.encoder.wordings[0].name, "is_before": is_before, "sampling": sampling}
        for title, sampling in zip(TITLES, rules, strict=True)
        for is_before in (False, True)
    ]
    requests = [quick.request(**each, max_new_tokens=8) for each in asked]
    answers = generate(quick.batch(num_slots=1), requests)

    of_adapter = [each.adapter and other.model.active_adapter for each in requests]
    expected = [other.request(**each, max_new_tokens=8) for each in asked]
    assert [each.prompt_ids for each in requests] == [each.prompt_ids for each in expected]
    assert of_adapter == [each.adapter for each in expected]
    assert answers == generate(other.batch(num_slots=1), expected)
    assert len({each.token_ids for each in answers}) > len(TITLES)


def test_an_answer_needs_none_of_the_packages_that_are_slow_to_import(run: Path) -> None:
    options = [f"--run={run}", "--max-new-tokens=2", "--no-sources", "--question=Lamp"]
    code = (
        f"import sys; from trainer.answers.answer import main; code = main({options}); print(*sys.modules); exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert not set(HEAVY) & set(done.stdout.split())


def test_what_is_not_as_training_writes_it_is_left_to_transformers_and_peft(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    config, adapter = other / "config.json", other / "adapter" / "adapter_config.json"
    text = config.read_text()
    info = json.loads(text)
    info["identity"]["tokenizer"] = "another"
    config.write_text(json.dumps(info))
    assert load_quickly(other) is None
    config.write_text(text)
    assert load_quickly(other) is not None
    for name, value in (("use_dora", True), ("alpha_pattern", {"q_proj": 3})):
        adapter.write_text(json.dumps(json.loads((run / "adapter" / adapter.name).read_bytes()) | {name: value}))
        assert load_quickly(other) is None
    (other / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds no adapter_model\.safetensors"):
        assert load_quickly(other) or load_answerer(other)
