"""The grid of trainings: its points, the bases, and a walk over some points of a tiny base on the CPU."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoConfig

from bench.train.grid.__main__ import in_order, make_bases, walk
from bench.train.grid.points import EVERY_RANK, Point, points
from bench.train.grid.table import ratio, table
from bench.train.shapes import LLAMA_8B, SHAPES, SMOLLM2_135M, TINYLLAMA, matrix_weights

_TINY = {
    "vocab_size": 500,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2_048,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
    "tie_word_embeddings": True,
}
_POINT = Point(program="ours", base="tiny", rank=8, tokens=2_048, precision="bf16", steps=6)


@pytest.mark.slow
def test_a_walk_measures_whole_trainings_and_tells_what_failed(
    prepared, micro_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHAPES, "tiny", _TINY)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # also on a machine with GPUs
    bases, out = tmp_path / "bases", tmp_path / "grid.json"
    make_bases(bases, {"tiny"}, tokenizer=str(micro_base), device="cpu")
    failing = replace(_POINT, tokens=3_000)
    commands = {point: point.command(bases=bases, data=prepared.root, optimizer="muon") for point in (_POINT, failing)}
    report = {"results": [{**failing.as_json(), "failed": "earlier"}]}

    walk(commands, report, out=out, peaks=[1e12], until=math.inf, limit_s=300)

    assert AutoConfig.from_pretrained(bases / "tiny").rope_parameters["rope_theta"] == 5e5
    measured, failed = sorted(json.loads(out.read_text())["results"], key=lambda result: "failed" in result)
    assert measured["tokens_per_s"] > 0
    assert (measured["is_loss_falling"], measured["base"], measured["rank"]) == (True, "tiny", 8)
    assert measured["engine"].startswith("engine plain: there is no GPU")
    assert "tokens_per_step = 3000, expected a multiple" in failed["failed"]
    assert in_order(list(commands), report["results"]) == [failing]
    walk(commands, report, out=out, peaks=[1e12], until=time.monotonic(), limit_s=300)
    assert len(report["results"]) == 2


def test_ours_stands_beside_the_fastest_of_each_peer() -> None:
    figures = {"step_s": {"median": 0.1, "least": 0.1, "most": 0.2}, "matrix_peak_share": 0.5, "peak_memory_gib": 3.0}
    ours = {**_POINT.as_json(), **figures, "tokens_per_s": 300, "engine": "engine native: as asked for"}
    slow = {**_POINT.as_json(), **figures, "tokens_per_s": 50, "program": "trl"}
    fast = {**slow, "tokens_per_s": 100, "precision": "nf4"}
    elsewhere = {**slow, "tokens_per_s": 200, "rank": 16}
    failed = {**_POINT.as_json(), "program": "unsloth", "failed": "exit code 1: no"}
    results = [ours, slow, fast, elsewhere, failed]

    assert ratio(ours, results, "trl") == 3
    assert ratio(ours, results, "unsloth") is None
    assert "exit code 1: no" in table(results)


def test_every_base_is_trained_at_every_rank_in_each_precision() -> None:
    asked = {(point.base, point.rank, point.precision) for point in points("ours")}

    assert {(base, rank, each) for base in SHAPES for rank in EVERY_RANK for each in ("nf4", "bf16", "fp8")} <= asked


def test_points_are_chosen_by_program_and_by_what_their_names_contain() -> None:
    assert {point.program for point in points("peers")} == {"trl", "unsloth"}
    assert len(points(None)) == len(points("ours")) + len(points("peers")) == len(set(points(None)))
    assert {point.base for point in points("ours", containing="8B")} == {"Llama-3.1-8B"}


def test_the_weights_that_a_token_meets_are_those_of_the_real_bases() -> None:
    assert [round(matrix_weights(shape) / 1e6) for shape in (SMOLLM2_135M, TINYLLAMA, LLAMA_8B)] == [134, 1034, 7505]
