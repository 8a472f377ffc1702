"""Tokens a second of whole runs: real shards through the real stream and loop, on one GPU and on several.

A step holds the same records in every run: on one GPU as several batches, on several GPUs as one each. The last run
changes from several GPUs to one half way.

    python -m bench.train_loop --data DATA --tokenizer FOLDER [--steps 40] [--out FILE]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from bench.train import RESULTS, machine, make_model, matrix_peak, versions
from launch.commands import train_argv
from trainer.config import TrainConfig
from trainer.metrics import read_metrics

_BATCH: Final = 32_768
_WARM_UP: Final = 5


def main(arguments: list[str]) -> None:
    """Trains all runs, writes the results and prints the table last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a prepared data set")
    parser.add_argument("--tokenizer", required=True, help="folder of TinyLlama's tokenizer")
    parser.add_argument("--steps", type=int, default=70)
    parser.add_argument("--out", type=Path, default=RESULTS / "train-loop-h200.json")
    options = parser.parse_args(arguments)

    num_gpus = torch.cuda.device_count()
    with tempfile.TemporaryDirectory() as folder:
        base = f"{folder}/base"
        make_model(base, tokenizer=options.tokenizer)
        peak = matrix_peak()
        torch.cuda.empty_cache()
        results = []
        for name, gpus, config in runs(options, folder, base, num_gpus=num_gpus):
            started = time.monotonic()
            launch(config, gpus=gpus)
            results.append(result(name, gpus, config))
            print(f"{line(results[-1], results[0])}  in {time.monotonic() - started:.0f} s", flush=True)
            if gpus > 1 and config.base_precision == "nf4":
                config = halved(config, folder, options.steps)
                launch(config, gpus=1)
                results.append(result(f"nf4, {gpus} GPUs for half of the steps, then one", 1, config))
                print(line(results[-1], results[0]), flush=True)
    report = {"machine": machine(peak) | {"gpus": num_gpus}, "versions": versions(), "results": results}
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def runs(options: argparse.Namespace, folder: str, base: str, *, num_gpus: int) -> list[tuple[str, int, TrainConfig]]:
    """Name, number of GPUs and settings of each run."""
    config = TrainConfig(
        data=(options.data,), run="-", base=base, engine="native", tokens_per_step=num_gpus * _BATCH,
        tokens_per_batch=_BATCH, max_steps=options.steps, save_every=options.steps // 2, log_every=10,
    )  # fmt: skip
    wanted = [(gpus, precision) for precision in ("nf4", "fp8") for gpus in sorted({1, num_gpus})]
    return [
        (
            f"{precision}, {gpus} GPU{'s' if gpus > 1 else ''}",
            gpus,
            replace(config, run=f"{folder}/{precision}-{gpus}", base_precision=precision),
        )
        for gpus, precision in wanted
    ]


def halved(config: TrainConfig, folder: str, steps: int) -> TrainConfig:
    """The run again as it stood at its half, to be resumed."""
    run = Path(folder) / "halved"
    shutil.copytree(config.run, run)
    shutil.rmtree(run / "checkpoints" / f"step-{steps:06d}")
    return replace(config, run=str(run), resume=True)


def launch(config: TrainConfig, *, gpus: int) -> None:
    """One training; its output is shown where it fails."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(gpus)))}
    argv = train_argv(config, num_processes=gpus, use_cpu=False)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")


def result(name: str, gpus: int, config: TrainConfig) -> dict[str, Any]:
    """What the run's metrics say of its second half, which begins after a checkpoint."""
    lines = read_metrics(Path(config.run))
    measured = [entry for entry in lines if entry["step"] > len(lines) // 2 + _WARM_UP]
    times_s = [entry["step_s"] for entry in measured]
    return {
        "variant": name,
        "gpus": gpus,
        "steps": len(measured),
        "tokens_per_s": sum(entry["tokens"] for entry in measured) / sum(times_s),
        "step_s": {"median": statistics.median(times_s), "least": min(times_s), "most": max(times_s)},
        "waiting_share": sum(entry["wait_s"] for entry in measured) / sum(times_s),
        "peak_memory_gib": lines[-1]["peak_memory_bytes"] / 2**30,
        "records": [entry["records"] for entry in lines],
        "losses": [round(entry["loss"], 6) for entry in lines],
    }


def line(found: dict[str, Any], first: dict[str, Any]) -> str:
    """One run, against the first one."""
    apart = max(abs(a / b - 1) for a, b in zip(found["losses"], first["losses"], strict=True))
    share = found["tokens_per_s"] / found["gpus"] / first["tokens_per_s"]
    return (
        f"{found['variant']:50}{found['tokens_per_s']:>9,.0f} tokens/s {share:>7.1%} a GPU"
        f"  step {found['step_s']['median']:.4f} s ({found['step_s']['least']:.4f}-{found['step_s']['most']:.4f})"
        f"  waits {found['waiting_share']:.3%}  {found['peak_memory_gib']:.1f} GiB"
        f"  losses differ by {apart:.1e}, records {'the same' if found['records'] == first['records'] else 'OTHERS'}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
