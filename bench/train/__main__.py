"""Tokens a second of 4-bit LoRA training: the usual recipes and the native engine, on the same made-up records.

The model has TinyLlama-1.1B's shape and random weights (time and memory do not depend on their values), and r = 16 on
all linear layers. Ours also runs at Llama-3.1-8B's shape, and with 2,048 tokens a step beside Unsloth.
Each variant runs on one GPU, in a process of its own, since Unsloth patches the libraries of the others. Several GPUs
run several variants at once.

    python -m bench.train --tokenizer FOLDER [--only ours] [--steps 100] [--parity-steps 300]
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

import torch

from bench.figures import RESULTS
from bench.train.shapes import make_model, matrix_peak, measured_on

_MATRIX_WEIGHTS: Final = 1.034e9  # of this shape, without the embedding
_MATRIX_WEIGHTS_8B: Final = 7.504e9
_FLOP_A_WEIGHT: Final = 4  # for each token: a frozen base needs no gradient of its weights


def main(arguments: list[str]) -> None:
    """Runs the variants, writes the results after each and prints the table last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="folder of TinyLlama's tokenizer")
    parser.add_argument("--only", choices=("ours", "peers"), help="variants to measure (default: all)")
    parser.add_argument("--steps", type=int, default=100, help="measured steps of ours in bf16")
    parser.add_argument("--parity-steps", type=int, default=300, help="measured steps of ours in nf4 and fp8")
    parser.add_argument("--out", type=Path, default=RESULTS / "train" / "h200.json")
    options = parser.parse_args(arguments)

    num_gpus = torch.cuda.device_count()
    with tempfile.TemporaryDirectory() as folder:
        make_model(folder, tokenizer=options.tokenizer)
        peaks = [matrix_peak(gpu=gpu) for gpu in range(num_gpus)]
        torch.cuda.empty_cache()
        report: dict[str, Any] = {**measured_on(min(peaks)), "results": []}
        for result in run_all(commands(options, folder), num_gpus=num_gpus):
            share = result["tokens_per_s"] * flop_a_token(result["variant"]) / peaks[result["gpu"]]
            report["results"].append({**result, "matrix_peak_share": share})
            report["fp8_loss_difference_to_nf4"] = fp8_difference(report["results"])
            options.out.write_text(json.dumps(report, indent=1) + "\n")  # after each variant, as a later one may hang
    print(table(report["results"]))


def commands(options: argparse.Namespace, folder: str) -> list[list[str]]:
    """The arguments of each variant's process."""
    one_pack = ["unsloth", "--packed", "--packs", "1", "--steps", "60", "--warm-up", "10"]
    peers = [
        ["bench.train.peers", "unsloth", "--packed", "--steps", "24", "--warm-up", "4"],
        ["bench.train.peers", "trl", "--packed", "--steps", "60", "--warm-up", "5"],
        ["bench.train.peers", "trl", "--steps", "20", "--warm-up", "2"],
        ["bench.train.peers", "unsloth", "--steps", "40", "--warm-up", "5"],
    ]
    ours = [
        ["bench.train.ours", "nf4", "--steps", str(options.parity_steps)],
        ["bench.train.ours", "fp8", "--steps", str(options.parity_steps)],
        ["bench.train.ours", "bf16", "--steps", str(options.steps)],
    ]
    small = [
        ["bench.train.ours", "nf4", "--steps", "100", "--tokens", "2048"],
        ["bench.train.peers", *one_pack],
        ["bench.train.ours", "nf4", "--steps", "100", "--tokens", "2048", "--recomputed", "22"],
        ["bench.train.peers", *one_pack, "--checkpointing"],
    ]
    large = [["bench.train.ours", precision, "--steps", "100", "--tokens", "16384"] for precision in ("bf16", "fp8")]
    with_model = [[*command, "--model", folder] for command in ours + peers + small]
    return [command for command in large + with_model if command[0].endswith(options.only or "")]


def run_all(commands: list[list[str]], *, num_gpus: int) -> Iterator[dict[str, Any]]:
    """The reports of the processes, as they end. A GPU that is free runs the next command."""
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for gpu in range(num_gpus):
        free.put(gpu)

    def run_on_free_gpu(command: list[str]) -> dict[str, Any] | None:
        gpu = free.get()
        try:
            result = run(command, gpu=gpu)
        finally:
            free.put(gpu)
        return None if result is None else {**result, "gpu": gpu}

    with ThreadPoolExecutor(num_gpus) as pool:
        for done in as_completed([pool.submit(run_on_free_gpu, command) for command in commands]):
            if (result := done.result()) is not None:
                yield result


def fp8_difference(results: list[dict[str, Any]]) -> dict[str, float] | None:
    """Relative differences of the losses in FP8 from those in NF4 on the same records; None until both are measured."""
    losses = {result["variant"]: result["losses"] for result in results}
    if "ours, nf4" not in losses or "ours, fp8" not in losses:
        return None
    right, found = losses["ours, nf4"], losses["ours, fp8"]
    apart = [abs(loss - exact) / exact for loss, exact in zip(found, right, strict=True)]
    return {
        "steps": len(apart),
        "most": max(apart),
        "mean": sum(apart) / len(apart),
        "of_the_means": abs(sum(found) - sum(right)) / sum(right),
        "last_50": abs(sum(found[-50:]) - sum(right[-50:])) / sum(right[-50:]),
    }


def flop_a_token(variant: str) -> float:
    """The least number of floating-point operations for a token."""
    return _FLOP_A_WEIGHT * (_MATRIX_WEIGHTS_8B if "8B" in variant else _MATRIX_WEIGHTS)


def run(command: list[str], *, gpu: int) -> dict[str, Any] | None:
    """The report of the process. None where it failed; its last lines are printed then."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "UNSLOTH_DISABLE_STATISTICS": "1"}
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    environment["CUDA_VISIBLE_DEVICES"] = seen.split(",")[gpu] if seen else str(gpu)
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)
    print(f"GPU {gpu}: {' '.join(command[:3])}: {time.monotonic() - started:.0f} s", flush=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if lines:
        return json.loads(lines[-1].removeprefix("RESULT "))
    print(f"failed with exit code {done.returncode}:\n{done.stdout[-500:]}\n{done.stderr[-1500:]}", flush=True)
    return None


def table(results: list[dict[str, Any]]) -> str:
    """One line a variant."""
    lines = [f"{'':44}{'tokens/s':>10}{'peak':>7}{'GiB':>7}{'step, s (least-most)':>24}{'steps':>7}{'loss':>9}"]
    for result in results:
        step = result["step_s"]
        spread = f"{step['median']:.3f} ({step['least']:.3f}-{step['most']:.3f})"
        last = sum(result["losses"][-10:]) / max(1, len(result["losses"][-10:]))
        lines.append(
            f"{result['variant']:44}{result['tokens_per_s']:>10,.0f}{result['matrix_peak_share']:>7.0%}"
            f"{result['peak_memory_gib']:>7.1f}{spread:>24}{result['steps']:>7}{last:>9.4f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
