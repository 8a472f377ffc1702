"""Shared memory of every kernel of the native engine, on every GPU that Triton knows, without these GPUs.

Compiles a decoder layer of each base, at each rank, for each compute capability (Triton brings the assembler). Holds
what each kernel takes against what a program can have there.

    python -m bench.train.compiled [--capability 8.0 ...] [--base NAME ...] [--rank 16 ...] [--processes 8] [--out FILE]

A base takes some 5 minutes of one core, more with heads of 256; `--processes` compiles several at once.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import torch

from bench.figures import RESULTS
from bench.machine import machine, versions
from bench.train.absent import SHARED_BYTES, absent_gpu, launch_layer
from trainer.native.families import FAMILIES
from trainer.native.kernels.fitted import DoesNotFitError
from trainer.native.kernels.sizes import why_no_kernels
from trainer.native.shape import Shape

RANKS: Final = (1, 8, 16, 64, 128, 256, 512)
_FP8_RANKS: Final = (16, 64, 128)
_TILE: Final = ("BT", "BN", "BC", "BF", "BLOCK", "P", "PR", "num_stages")


def _shape(family: str, *sizes: int) -> Shape:
    hidden, mlp, heads, kv_heads, head_dim = sizes
    return Shape(FAMILIES[family], 1, hidden, mlp, heads, kv_heads, head_dim, eps=1e-5, window=None)


# Hidden columns, columns of the MLP, heads, heads of keys and values, columns of a head.
BASES: Final = {
    "SmolLM2-135M": _shape("llama", 576, 1_536, 9, 3, 64),
    "Qwen2.5-0.5B": _shape("qwen2", 896, 4_864, 14, 2, 64),
    "Qwen2.5-1.5B": _shape("qwen2", 1_536, 8_960, 12, 2, 128),
    "Danube3-500M": _shape("llama", 1_536, 4_096, 16, 8, 96),
    "TinyLlama-1.1B": _shape("llama", 2_048, 5_632, 32, 4, 64),
    "heads of 256 columns": _shape("llama", 2_048, 16_384, 8, 1, 256),
    "Danube2-1.8B": _shape("mistral", 2_560, 6_912, 32, 8, 80),
    "Qwen3-4B": _shape("qwen3", 2_560, 9_728, 32, 8, 128),
    "Llama-3.2-3B": _shape("llama", 3_072, 8_192, 24, 8, 128),
    "Llama-3.1-8B": _shape("llama", 4_096, 14_336, 32, 8, 128),
    "Qwen3-14B": _shape("qwen3", 5_120, 17_408, 40, 8, 128),
    "Llama-3.1-70B": _shape("llama", 8_192, 28_672, 64, 8, 128),
}


def main(arguments: list[str]) -> None:
    """Compiles, writes the table and prints what fits and what falls back."""
    names = {".".join(map(str, capability)): capability for capability in SHARED_BYTES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capability", choices=names, nargs="*", default=list(names))
    parser.add_argument("--base", choices=BASES, nargs="*", default=list(BASES))
    parser.add_argument("--rank", type=int, nargs="*", default=RANKS)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "train" / "kernels-compiled.json")
    options = parser.parse_args(arguments)

    jobs = [(names[name], base, options.rank) for base in options.base for name in options.capability]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(table, *job) for job in jobs]):
            rows = sorted([*rows, *done.result()], key=lambda row: (float(row["capability"]), row["base"], row["rank"]))
            start = {"machine": machine(), "versions": versions(("torch", "triton"))}
            lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
            options.out.write_text(
                f'{{"measured_on": {json.dumps(start)},\n"rows": [\n{lines}\n]}}\n'
            )  # a later job may be ended
            print(f"{done.result()[0]['base']}, {done.result()[0]['capability']}", flush=True)
    print(summary(rows))


def table(capability: tuple[int, int], base: str, ranks: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each rank and precision of a base on the GPUs of this capability."""
    precisions = [(rank, False) for rank in ranks]
    if capability >= (9, 0):
        precisions += [(rank, True) for rank in ranks if rank in _FP8_RANKS]
    return [compiled(base, rank=rank, capability=capability, to_fp8=to_fp8) for rank, to_fp8 in precisions]


def compiled(base: str, *, rank: int, capability: tuple[int, int], to_fp8: bool = False) -> dict[str, Any]:
    """What each kernel of a layer takes, or why the layer is computed without kernels."""
    shape, dtype = BASES[base], torch.bfloat16 if capability >= (8, 0) else torch.float16
    row: dict[str, Any] = {
        "base": base,
        "capability": ".".join(map(str, capability)),
        "rank": rank,
        "precision": "fp8" if to_fp8 else str(dtype).removeprefix("torch."),
        "limit_bytes": SHARED_BYTES[capability],
        "falls_back": why_no_kernels(capability, head_dim=shape.head_dim, columns=(shape.hidden, shape.mlp)),
        "kernels": [],
    }
    if row["falls_back"] is None:
        with absent_gpu(capability) as gpu:
            try:
                launch_layer(shape, rank=rank, dtype=dtype, to_fp8=to_fp8)
            except DoesNotFitError as error:
                row["falls_back"] = str(error)
        tiles = [
            " ".join(f"{name} {launch.constants[name]}" for name in _TILE if name in launch.constants)
            for launch in gpu.launches
        ]
        kernels = [[each.kernel, each.shared_bytes, tile] for each, tile in zip(gpu.launches, tiles, strict=True)]
        row["kernels"] = [kernel for index, kernel in enumerate(kernels) if kernel not in kernels[:index]]
    return row


def summary(rows: list[dict[str, Any]]) -> str:
    """A line for each capability, then the fall-backs."""
    lines = [
        f"{'':12}{'layers':>7}{'kernels':>9}{'limit':>10}{'most bytes':>12}{'above':>7}{'fall back':>11}  the largest"
    ]
    for name in dict.fromkeys(row["capability"] for row in rows):
        mine = [row for row in rows if row["capability"] == name]
        kernels = [kernel for row in mine for kernel in row["kernels"]]
        largest = max(kernels, key=lambda kernel: kernel[1], default=("", 0))
        limit = mine[0]["limit_bytes"]
        above = sum(kernel[1] > limit for kernel in kernels)
        back = sum(row["falls_back"] is not None for row in mine)
        lines.append(
            f"{name:12}{len(mine):>7}{len(kernels):>9}{limit:>10,}{largest[1]:>12,}{above:>7}{back:>11}  {largest[0]}"
        )
    reasons = dict.fromkeys((row["capability"], row["base"], row["falls_back"]) for row in rows if row["falls_back"])
    return "\n".join([*lines, *(f"{name}, {base}: without kernels: {why}" for name, base, why in reasons)])


if __name__ == "__main__":
    main(sys.argv[1:])
