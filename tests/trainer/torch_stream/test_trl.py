"""The recipe of docs/trl.md, as it stands there: TRL's SFTTrainer learns the packs of our own loop, with its losses."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from tests.conftest import Prepared, made_up_pairs, write_data_set
from trainer.config import TrainConfig
from trainer.engines.engine import PlainEngine
from trainer.examples.encoder import Encoder
from trainer.plan.data_sets import DataSet, open_data
from trainer.plan.order import Rank
from trainer.recipes.recipe import SEED
from trainer.step import StepCounts, count_step, make_train_state, train_step
from trainer.stream.cursor import Cursor
from trainer.stream.packs import PackStream
from trainer.torch_stream.dataset import PackDataset
from trainer.torch_stream.loader import PackLoader

ROOT = Path(__file__).parents[3]
PACKS_PER_STEP, MAX_LENGTH, STEPS, RATE = 4, 128, 6, 3e-3
SAVED = 2  # steps of the checkpoint that is resumed

SETTINGS: dict[str, Any] = {
    "max_length": MAX_LENGTH,
    "packs_per_step": PACKS_PER_STEP,
    "max_steps": STEPS,
    "learning_rate": RATE,
    "lr_scheduler_type": "constant",
    "logging_steps": 1,
    "save_steps": SAVED,
    "gradient_checkpointing": False,
    "bf16": False,
    "use_cpu": True,
    "disable_tqdm": True,
}


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """40 records, an epoch of 4 steps: the runs go into a second one."""
    root = tmp_path_factory.mktemp("data")
    return Prepared(str(root), write_data_set(root, made_up_pairs(40)))


@pytest.fixture(name="recipe", scope="module")
def _recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the page, in a file."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/trl.md").read_text(), re.DOTALL | re.MULTILINE)
    file = tmp_path_factory.mktemp("recipe") / "sft.py"
    file.write_text(code)
    return file


def run_recipe(recipe: Path, *args: str, ranks: int = 1, **settings: Any) -> list[float]:
    """Its losses by step."""
    (recipe.parent / "driver.py").write_text(
        "from tests.trainer.native.interpreted import mend_interpreter\n"
        "mend_interpreter()\n"
        "import json, os, pathlib, sft\n"
        f"log = sft.train(*{args!r}, **{SETTINGS | settings!r})\n"
        "pathlib.Path(f'log-{os.environ.get(\"RANK\", 0)}.json').write_text(json.dumps(log))\n"
    )
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    result = subprocess.run(
        [sys.executable, *launch, "driver.py"],
        cwd=recipe.parent,
        env={"PATH": "/usr/bin:/bin", "HOME": str(recipe.parent), "PYTHONPATH": f"{ROOT}:{recipe.parent}"}
        | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
        | {"TRITON_INTERPRET": "1"},  # TRL computes its loss by Triton kernels, also where there is no GPU
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4_000:]
    logs = [json.loads((recipe.parent / f"log-{rank}.json").read_text()) for rank in range(ranks)]
    losses = [[entry["loss"] for entry in log if "loss" in entry] for log in logs]
    assert losses == losses[:1] * ranks
    return losses[0]


@pytest.fixture(name="ours", scope="module")
def _ours(micro_base: Path, data) -> list[float]:
    """The losses of our own step on the same model and the same packs."""
    torch.manual_seed(42)  # Trainer's default
    model = AutoModelForCausalLM.from_pretrained(micro_base, dtype=torch.float32, attn_implementation="sdpa")
    lora = LoraConfig(r=16, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    engine = PlainEngine(get_peft_model(model, lora))
    config = TrainConfig(data=(data.root,), run="unused", learning_rate=RATE, engine="plain")
    state = make_train_state(engine, Accelerator(cpu=True), config=config, recipe=replace(SEED, learning_rate=RATE))
    engine.model.train()
    stream = PackStream(
        (DataSet(data.root, data.manifest),),
        Encoder(AutoTokenizer.from_pretrained(micro_base), max_length=MAX_LENGTH),
        Rank(0, 1),
        packs_per_step=PACKS_PER_STEP,
    )
    losses: list[float] = []
    for epoch in (0, 1):
        for mine in stream.epoch(Cursor.start(epoch)):
            if len(losses) == STEPS:
                break
            counts = StepCounts(*count_step(mine, state.accelerator).get())
            batches = engine.batches(mine.packs)
            numbers = train_step(state, batches, config=config, rate=RATE, step=len(losses), counts=counts)
            losses.append(numbers.get()[0] / counts.answer_tokens)
            if mine.is_over:
                break
    return losses


def test_trls_own_collator_takes_the_items(micro_base, data):
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    encoder = Encoder(tokenizer, max_length=MAX_LENGTH)
    dataset = PackDataset(PackStream(open_data([data.root]), encoder, Rank(0, 1)), batch_size=3)
    theirs = PackLoader(dataset, epochs=1, collate_fn=DataCollatorForLanguageModeling(0, padding_free=True))
    batches = [{name: value.tolist() for name, value in batch.items()} for batch in theirs]
    dataset.set_epoch(0)

    assert batches == [
        {name: value.tolist() for name, value in batch.items()} for batch in PackLoader(dataset, epochs=1)
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_recipe_says_at_once_that_it_needs_a_gpu(recipe, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, str(recipe), "nowhere", "none", str(tmp_path / "run")],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.endswith("this recipe needs a GPU: TRL 1.15 computes its loss by Triton kernels\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_recipe_has_the_losses_of_our_own_loop_also_when_resumed(recipe, ours, micro_base, data, tmp_path):
    run = str(tmp_path / "run")
    losses = run_recipe(recipe, data.root, str(micro_base), run)

    assert len(ours) == STEPS
    assert ours[-1] < ours[0] - 0.01  # it learns
    assert losses == pytest.approx(ours, abs=2e-6)

    other = str(tmp_path / "other")
    resumed = run_recipe(recipe, data.root, str(micro_base), other, f"{run}/checkpoint-{SAVED}", num_workers=0)
    assert resumed[-STEPS + SAVED :] == pytest.approx(losses[SAVED:], abs=1e-7)


@pytest.mark.slow
def test_the_recipe_on_two_ranks_has_the_losses_of_one(recipe, ours, micro_base, data, tmp_path):
    run = str(tmp_path / "run")
    losses = run_recipe(recipe, data.root, str(micro_base), run, ranks=2, max_steps=STEPS)
    assert losses == pytest.approx(ours, abs=2e-6)

    on_one = run_recipe(recipe, data.root, str(micro_base), f"{run}-one", f"{run}/checkpoint-{SAVED}")
    assert on_one[-STEPS + SAVED :] == pytest.approx(ours[SAVED:], abs=2e-6)
