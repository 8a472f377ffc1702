"""Tokens a second of whole runs: real shards through the real stream and loop, on one GPU and on several.

A step holds the same records in every run: as several batches on one GPU, as one batch a GPU on several. One run is
stopped and resumed on several GPUs, then on one again; its ledger must equal that of the run that never stopped.

    python -m bench.train.loop --data DATA --tokenizer FOLDER [--steps 105] [--out FILE]
    python -m bench.train.loop --data DATA --tokenizer FOLDER --engines      # all engines, 12 steps each
"""

import argparse
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from bench.figures import RESULTS, spread
from bench.train.shapes import make_model, matrix_peak, measured_on
from launch.argv import train_argv
from trainer.config import TrainConfig
from trainer.runs import names
from trainer.runs.metrics import read_metrics

_BATCH: Final = 32_768
_WARM_UP: Final = 5


def main(arguments: list[str]) -> None:
    """Trains all runs, prints a line for each and writes the results after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a prepared data set")
    parser.add_argument("--tokenizer", required=True, help="folder of TinyLlama's tokenizer")
    parser.add_argument(
        "--engines",
        action="store_true",
        help="compare all engines, instead of precisions and GPUs of the native engine",
    )
    parser.add_argument(
        "--steps", type=int, help="steps of each run (default: 105; with --engines 12, as some are slow)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="results file (default: bench/results/train/loop-h200.json, or engines-h200.json)",
    )
    options = parser.parse_args(arguments)
    steps = options.steps or (12 if options.engines else 105)
    out = options.out or RESULTS / "train" / f"{'engines' if options.engines else 'loop'}-h200.json"

    num_gpus = torch.cuda.device_count()
    with tempfile.TemporaryDirectory() as folder:
        base = f"{folder}/base"
        make_model(base, tokenizer=options.tokenizer)
        report: dict[str, Any] = {**measured_on(matrix_peak(), gpus=num_gpus), "results": []}
        torch.cuda.empty_cache()
        config = TrainConfig(
            data=(options.data,), run="-", base=base, recipe="seed", engine="native", tokens_per_step=num_gpus * _BATCH,
            tokens_per_batch=_BATCH, max_steps=steps, save_every=steps // 3, log_every=10, ledger=True,
        )  # fmt: skip
        first = None
        for run in (engines if options.engines else precisions)(config, folder):
            launch(run)
            found = result(run)
            first = first or found
            report["results"].append(found | against(found, first))
            print(line(report["results"][-1]), flush=True)
            out.write_text(json.dumps(report, indent=1) + "\n")


@dataclass(frozen=True)
class Run:
    """One training run; its steps are timed from the last resume on."""

    name: str
    gpus: int
    config: TrainConfig
    resumed_at: int = 0  # step of the last resume


def precisions(config: TrainConfig, folder: str) -> Iterator[Run]:
    """Runs of the native engine."""
    most, third = torch.cuda.device_count(), config.save_every
    for precision, gpus in itertools.product(("nf4", "fp8"), sorted({1, most})):
        changed = replace(config, run=f"{folder}/{precision}-{gpus}", base_precision=precision)
        yield Run(f"{precision}, {gpus} GPU{'s' if gpus > 1 else ''}", gpus, changed)
    once = cut_at(third, replace(config, run=f"{folder}/nf4-1"), copy=f"{folder}/changed-once")
    yield Run(f"nf4, 1 GPU for a third of the steps, then {most}", most, once, third)
    twice = cut_at(2 * third, once, copy=f"{folder}/changed-twice")
    yield Run(f"nf4, 1 GPU for a third of the steps, {most} for another, then 1", 1, twice, 2 * third)


def engines(config: TrainConfig, folder: str) -> Iterator[Run]:
    """Runs of all engines on the same records."""
    for engine, gpus in (("native", 1), ("unsloth", 1), ("unsloth", torch.cuda.device_count()), ("plain", 1)):
        changed = replace(config, engine=engine, run=f"{folder}/{engine}-{gpus}")
        if engine == "plain":
            changed = replace(changed, tokens_per_batch=None)
        yield Run(f"engine {engine}, {gpus} GPU{'s' if gpus > 1 else ''}", gpus, changed)


def cut_at(step: int, config: TrainConfig, *, copy: str) -> TrainConfig:
    """A copy of the run as it was after this step, set to resume."""
    shutil.copytree(config.run, copy)
    for folder in (Path(copy) / names.CHECKPOINTS).iterdir():
        if (names.checkpoint_step(folder.name) or 0) > step:
            shutil.rmtree(folder)
    return replace(config, run=copy, resume=True)


def launch(run: Run) -> None:
    """Runs one training. Where it fails, ends the benchmark with the training's output."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(run.gpus)))}
    argv = train_argv(run.config, num_processes=run.gpus, use_cpu=False)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")


def result(run: Run) -> dict[str, Any]:
    """The figures from the run's metrics and ledger. Timing begins some steps after the last resume."""
    lines = read_metrics(Path(run.config.run))
    resumed = lines[run.resumed_at :]
    measured = resumed[min(_WARM_UP, len(resumed) // 2) :]
    times_s = [entry["step_s"] for entry in measured]
    peak = lines[-1]["peak_memory_bytes"]  # None without a GPU
    ledger = b"".join(path.read_bytes() for path in sorted((Path(run.config.run) / "ledger").iterdir()))
    return {
        "variant": run.name,
        "gpus": run.gpus,
        "steps": len(measured),
        "tokens_per_s": sum(entry["tokens"] for entry in measured) / sum(times_s),
        "step_s": spread(times_s),
        "waiting_share": sum(entry["wait_s"] for entry in measured) / sum(times_s),
        "peak_memory_gib": peak and peak / 2**30,
        "ledger_sha256": hashlib.sha256(ledger).hexdigest(),
        "losses": [round(entry["loss"], 6) for entry in lines],
        "steps_s": [round(entry["step_s"], 5) for entry in lines],
    }


def against(found: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """How far this run differs from the first one in losses and ledger."""
    apart = [abs(a / b - 1) for a, b in zip(found["losses"], first["losses"], strict=True)]
    return {
        "largest_loss_difference_to_the_first": max(apart),
        "is_ledger_that_of_the_first": found["ledger_sha256"] == first["ledger_sha256"],
    }


def line(found: dict[str, Any]) -> str:
    """The figures of one run as a line."""
    step = found["step_s"]
    return (
        f"{found['variant']:62}{found['tokens_per_s'] / found['gpus']:>9,.0f} tokens/s a GPU"
        f"  step {step['median']:.4f} s ({step['least']:.4f}-{step['most']:.4f})"
        f"  waits {found['waiting_share']:.3%}  {found['peak_memory_gib']:.1f} GiB"
        f"  losses differ by {found['largest_loss_difference_to_the_first']:.1e}"
        f"  ledger {'the same' if found['is_ledger_that_of_the_first'] else 'ANOTHER'}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
