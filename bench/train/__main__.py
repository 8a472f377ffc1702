"""Tokens a second of 4-bit LoRA training: the usual recipes and the native engine, on the same made-up records.

The model has TinyLlama-1.1B's shape and random weights (time and memory do not depend on their values), and r = 16 on
all linear layers. Ours also runs at Llama-3.1-8B's shape, and with 2,048 tokens a step beside Unsloth.
Each variant runs on one GPU, in a process of its own, since Unsloth patches the libraries of the others. Several GPUs
run several variants at once.

    python -m bench.train --tokenizer FOLDER [--only ours] [--steps 100] [--parity-steps 300]
"""

import argparse
import json
import math
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
from bench.train.shapes import LLAMA_8B, TINYLLAMA, flop_a_token, make_model, matrix_peak, measured_on

_LAST_CHARACTERS: Final = 400  # of what a failed process wrote


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
        for _, result in run_all(commands(options, folder), num_gpus=num_gpus):
            if "failed" in result:
                continue
            shape = LLAMA_8B if "8B" in result["variant"] else TINYLLAMA
            share = result["tokens_per_s"] * flop_a_token(shape) / peaks[result["gpu"]]
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


def run_all(
    commands: list[list[str]], *, num_gpus: int, until: float = math.inf, limit_s: float | None = None
) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Each process with its report, as they end. A GPU that is free runs the next command.

    After `until` of the monotonic clock no process is begun; one that takes longer than `limit_s` has failed.
    """
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for gpu in range(num_gpus):
        free.put(gpu)

    def run_on_free_gpu(command: list[str]) -> dict[str, Any] | None:
        if time.monotonic() >= until:
            return None
        gpu = free.get()
        try:
            return {**run(command, gpu=gpu, limit_s=limit_s), "gpu": gpu}
        finally:
            free.put(gpu)

    with ThreadPoolExecutor(num_gpus) as pool:
        started = {pool.submit(run_on_free_gpu, command): command for command in commands}
        for done in as_completed(started):
            if (result := done.result()) is not None:
                yield started[done], result


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


def run(command: list[str], *, gpu: int, limit_s: float | None = None) -> dict[str, Any]:
    """The report of the process; where it failed, why it did, and its last lines are printed."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "UNSLOTH_DISABLE_STATISTICS": "1"}
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    environment["CUDA_VISIBLE_DEVICES"] = seen.split(",")[gpu] if seen else str(gpu)
    argv, started = [sys.executable, "-m", *command], time.monotonic()
    try:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        print(f"GPU {gpu}: {' '.join(command)}: took more than {limit_s:.0f} s", flush=True)
        return {"failed": f"took more than {limit_s:.0f} s"}
    print(f"GPU {gpu}: {' '.join(command[:3])}: {time.monotonic() - started:.0f} s", flush=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if lines:
        return json.loads(lines[-1].removeprefix("RESULT "))
    print(f"failed with exit code {done.returncode}:\n{done.stdout[-500:]}\n{done.stderr[-1500:]}", flush=True)
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "")
    return {"failed": f"exit code {done.returncode}: {last[-_LAST_CHARACTERS:]}"}


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
