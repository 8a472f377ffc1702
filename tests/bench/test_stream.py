"""The contestants of bench.stream do the same work, and its aims are compared with the figures."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from bench.stream.contestants import CONTESTANTS, FastCall, Setting
from bench.stream.report import aims, rates, resumes, tables
from trainer.examples.encoder import Encoder, Record

ROOT = Path(__file__).parents[2]
WINDOW = 128
NUM_RECORDS = 300


@pytest.mark.parametrize("contestant", ["ours", "ours, without packs"])
def test_each_record_is_encoded_once(contestant: str, prepared, micro_base: Path) -> None:
    encoder = Encoder(AutoTokenizer.from_pretrained(micro_base), max_length=WINDOW)
    setting = Setting(prepared.root, "", "", "", encoder, WINDOW, NUM_RECORDS)

    batches = list(CONTESTANTS[contestant](setting, None))
    assert sum(records for records, _ in batches) == NUM_RECORDS
    assert sum(tokens for _, tokens in batches) == sum(map(len, all_ids(prepared.root, encoder)))


def test_the_fast_call_gives_the_ids_of_the_encoder(prepared, micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    ours, theirs = Encoder(tokenizer, max_length=WINDOW), FastCall(tokenizer, max_length=WINDOW)

    assert all_ids(prepared.root, ours) == all_ids(prepared.root, theirs)


def all_ids(root: str, encoder: Encoder | FastCall) -> list[list[int]]:
    """The ids of the train split, in stored order."""
    rows = [row for path in sorted(Path(root, "train").iterdir()) for row in pq.read_table(path).to_pylist()]
    return [
        list(one.ids) for one in encoder.encode([Record(0, row["title"], row["content"], row["key"]) for row in rows])
    ]


@pytest.mark.slow
def test_a_whole_benchmark_measures_all_records(prepared, micro_base: Path, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    only = "ours;HF datasets;HF datasets, fast call;HF datasets, replayed"
    options = ["--data", prepared.root, "--tokenizer", str(micro_base), "--rounds", "1", "--only", only]
    options += ["--folder", str(tmp_path / "work"), "--out", str(tmp_path / "found.json")]
    done = subprocess.run([sys.executable, "-m", "bench.stream", *options], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode in (0, 1), done.stderr  # 1: so few records miss some aim
    assert (tmp_path / "found.json").exists(), done.stderr
    report = json.loads((tmp_path / "found.json").read_text())
    assert report["epochs"]["ours"]["records"] == NUM_RECORDS
    assert [row["contestant"] for row in report["rates"]] == ["ours", "HF datasets", "HF datasets, fast call"]
    assert [row["contestant"] for row in report["resumes"]] == ["ours", "HF datasets", "HF datasets, replayed"]


def run(records_per_s: float, *, first_s: float = 1.0) -> dict[str, float]:
    """One run of ten seconds."""
    times = {"wall_s": 10.0, "cpu_s": 10.0, "first_s": first_s, "first_cpu_s": first_s}
    counts = {"records": 10 * records_per_s, "tokens": 2_000 * records_per_s}
    return {**counts, **times, "start_bytes": 1e8, "peak_bytes": 3e8}


def test_aims_are_judged_by_medians() -> None:
    report = {
        "rates": rates({"ours": [run(1_000), run(5_000), run(6_000)], "LitData": [run(4_000)]}),
        "resumes": resumes({"ours": [run(1, first_s=0.5)], "HF datasets": [run(1, first_s=9)]}),
        "epochs": {},
    }
    found = {row["what"]: (row["found"], row["is_met"]) for row in aims(report)}

    assert found["tokens/s of ours"] == (1_000_000, True)
    assert found["records per second of CPU, ours / LitData"] == (1.25, True)
    assert found["HF datasets: that time to ours"] == (18, False)
    assert "NOT met" in tables({**report, "aims": list(aims(report))})
