"""Which part of a training in FP8 costs recall: the same training in many ways, each of which rounds other operands.

python -m bench.learn.fp8 --base FOLDER --catalogue synth.npz --out fp8.json [--products 1000] [--exposures 10]

Each adapter is asked twice: on the exact base, as every program that loads it would, and on the base as it was trained.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from bench.figures import rounded
from bench.learn.base import load_base
from bench.learn.catalogue import load_catalogues
from bench.learn.fp8.products import EXACT, Way
from bench.learn.fp8.training import train
from bench.learn.grid import Recipe
from bench.machine import versions

_ALL: Final[dict[str, bool]] = {"weights": True, "inputs": True, "back": True}
WAYS: Final = (
    EXACT,
    Way(name="all, as the engine", **_ALL),
    Way(name="weights and inputs", weights=True, inputs=True),
    Way(name="weights", weights=True),
    Way(name="inputs", inputs=True),
    Way(name="backward products", back=True),
    Way(name="all, scales of 128 columns", **_ALL, block=True),
    Way(name="all, rotated", **_ALL, is_rotated=True),
    Way(name="all, 16 columns exact", **_ALL, outliers=16),
    Way(name="all, adapter fed rounded", **_ALL, is_low_rounded=True),
    Way(name="all, gradients by chance", **_ALL, is_stochastic=True),
    Way(name="all, last quarter exact", **_ALL, exact_from=0.75),
    Way(name="all, last half exact", **_ALL, exact_from=0.5),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains in each way; the output is written after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--catalogue", required=True, type=Path, help="file that `bench.learn encode` wrote")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--products", type=int, default=1_000)
    parser.add_argument("--exposures", type=float, default=10)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--tokens", type=int, default=8_192, help="of a step")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no way after so many seconds")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    is_gpu = torch.cuda.is_available()
    device, dtype = torch.device("cuda" if is_gpu else "cpu"), torch.bfloat16 if is_gpu else torch.float32
    base, catalogues = load_base(options.base, device=device, dtype=dtype), load_catalogues(options.catalogue)
    recipe = Recipe(
        name="fp8", products=options.products, exposures=options.exposures, tokens_per_step=options.tokens,
        rank=options.rank, alpha=2 * options.rank, rate=options.rate, beta2=0.99,
    )  # fmt: skip
    machine = {"device": torch.cuda.get_device_name() if is_gpu else "cpu"} | versions(("torch", "transformers"))
    report: dict[str, Any] = {"machine": machine, "settings": asdict(recipe), "ways": []}
    for way in WAYS:
        if time.perf_counter() - began > options.seconds:
            print(f"no time left for {way.name}", flush=True)
            continue
        report["ways"].append(rounded(train(base, catalogues, recipe, way)))
        options.out.write_text(json.dumps(report, indent=1) + "\n")
        print(json.dumps(report["ways"][-1]), f"at {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
