"""The whole road with the real engines: a catalogue goes in at one end, an answer comes out at the other."""

import json
import os
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import duckdb
import polars
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM

from contract.columns import SHARD_SCHEMA
from contract.manifest import read_manifest
from synth.catalogue import write_catalogue
from synth.config import SynthConfig
from trainer.runs.folder import read_info
from trainer.runs.metrics import read_metrics

pytestmark = [pytest.mark.spark, pytest.mark.slow]

REAL_SAMPLE = os.environ.get("VITRINE_REAL_SAMPLE")


def vitrine(*argv: str) -> str:
    """What the command prints; fails the test where the command fails. No hub is asked."""
    command = [sys.executable, "-m", "launch.cli", *argv]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(name="catalogue", scope="module")
def _catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "catalogue.json.gz"
    write_catalogue(SynthConfig(output=str(path), rows=400, seed=3, broken=0.03, mean_content_chars=150))
    return path


@pytest.fixture(name="data", scope="module")
def _data(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("prepared") / "data"
    vitrine("prepare", "--input", str(catalogue), "--output", str(data), "--shard-rows", "100", "--val-share", "0.05")
    return data


def _train(data: Path, base: Path, run: Path, *more: str) -> str:
    sizes = ["--recipe", "seed", "--max-length", "256", "--tokens-per-step", "1024", "--learning-rate", "5e-3"]
    return vitrine("train", "--data", str(data), "--run", str(run), "--base", str(base), *sizes, *more)


@pytest.fixture(name="run", scope="module")
def _run(data: Path, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    _train(data, micro_base, run, "--save-every", "5", "--cpu")
    return run


def test_every_line_is_accounted_for_as_the_catalogues_truth_says(catalogue: Path, data: Path) -> None:
    truth = json.loads(Path(f"{catalogue}.truth.json").read_text())
    rows = read_manifest(str(data)).rows

    assert rows.input == truth["rows_in"]
    assert rows.kept == truth["kept"]
    assert {reason: num for reason, num in rows.rejected.items() if num} == {
        reason: num for reason, num in truth["rejected"].items() if num
    }


def test_other_peoples_tools_read_the_shards(data: Path) -> None:
    manifest = read_manifest(str(data))
    files = [str(data / shard.path) for shard in manifest.splits["train"]]
    num_rows = manifest.num_rows("train")

    assert pyarrow.dataset.dataset(files).to_table().schema.equals(SHARD_SCHEMA)
    assert duckdb.sql(f"select count(*), count(distinct key) from read_parquet({files})").fetchall() == [
        (num_rows, num_rows)
    ]
    assert polars.read_parquet(files).height == num_rows
    loaded = load_dataset("parquet", data_files=files, split="train", cache_dir=str(data.parent / "cache"))
    assert loaded.num_rows == num_rows
    assert loaded.column_names == SHARD_SCHEMA.names


def test_training_learns_each_record_once_and_says_what_it_learnt_from(run: Path, data: Path) -> None:
    manifest = read_manifest(str(data))

    assert sum(line["records"] for line in read_metrics(run)) == manifest.num_rows("train")
    assert read_info(run).dataset_ids == [manifest.dataset_id]


def test_two_processes_learn_the_same_steps_as_one(run: Path, data: Path, micro_base: Path, tmp_path: Path) -> None:
    """Real processes under `accelerate launch`, gradients added over gloo."""
    told = _train(data, micro_base, tmp_path / "two", "--num-processes", "2", "--cpu")
    assert "on 2 x cpu" in told
    alone, together = read_metrics(run), read_metrics(tmp_path / "two")

    assert [line["records"] for line in together] == [line["records"] for line in alone]
    assert [line["answer_tokens"] for line in together] == [line["answer_tokens"] for line in alone]
    assert [line["loss"] for line in together] == pytest.approx([line["loss"] for line in alone], rel=1e-3)


def test_plain_peft_loads_the_adapter(run: Path, micro_base: Path) -> None:
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(micro_base), run / "adapter")

    assert model.active_peft_config.r == 16


def test_a_question_is_answered(run: Path, data: Path) -> None:
    title = pq.read_table(data / read_manifest(str(data)).splits["train"][0].path)["title"][0].as_py()

    plain = vitrine("ask", "--run", str(run), "--max-new-tokens", "16", f"What is {title}?")
    told = json.loads(vitrine("ask", "--run", str(run), "--max-new-tokens", "16", "--json", title))
    assert told["question"] == title
    assert plain.strip() == told["answer"]


def test_before_and_after_are_compared(run: Path) -> None:
    table = vitrine("evaluate", "--run", str(run), "--seen", "2", "--unseen", "1", "--max-new-tokens", "8")

    assert "2 seen titles" in table
    assert "1 unseen title " in table
    assert str(run / "evaluation.html") in table
    titles = json.loads((run / "evaluation.json").read_text())["titles"]
    assert Counter(title["kind"] for title in titles) == {"seen": 2, "unseen": 1}
    assert "<script" in (run / "evaluation.html").read_text()


@pytest.mark.skipif(not REAL_SAMPLE, reason="VITRINE_REAL_SAMPLE does not name the sample of real lines")
def test_real_lines_walk_the_road(micro_base: Path, tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    vitrine("prepare", "--input", str(REAL_SAMPLE), "--output", str(data))
    manifest = read_manifest(str(data))
    with open(str(REAL_SAMPLE), "rb") as file:
        assert manifest.rows.input == sum(1 for _ in file)

    for shards in manifest.splits.values():
        for shard in shards:
            table = pq.read_table(data / shard.path)
            texts = "".join(table["title"].to_pylist() + table["content"].to_pylist())
            assert {c for c in texts if unicodedata.category(c)[0] not in "LMN"} <= set(",. ")
    _train(data, micro_base, run, "--max-steps", "3")
    assert vitrine("ask", "--run", str(run), "--max-new-tokens", "8", "What is Nice for Mice?") is not None
