"""Tokens a second of `vitrine train` and of its peers: three bases, ranks 1 to 512, 2,048 to 32,768 tokens a step.

The bases have random weights of the true shapes. Ours is the whole training, with the engine that it chooses by itself;
the peers train the same lengths of records in packs. Each point is a process of its own on one GPU.

    python -m bench.train.grid --tokenizer FOLDER --data DATA --out FILE [--only ours] [--seconds 500]

FILE is written after each point. What it holds already is not measured again, but what failed is, last.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bench.figures import RESULTS
from bench.train.__main__ import run_all
from bench.train.grid.points import Point, points
from bench.train.grid.table import table
from bench.train.shapes import SHAPES, flop_a_token, make_model, matrix_peak, measured_on


def main(arguments: list[str]) -> None:
    """Makes the bases, measures the points and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="folder of TinyLlama's tokenizer")
    parser.add_argument("--data", required=True, help="a prepared data set")
    parser.add_argument("--only", choices=("ours", "peers"), help="points to measure (default: all)")
    parser.add_argument("--containing", default="", help="measure only points whose names contain this, as '8B, fp8'")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon", help="of ours; another FILE for each")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no point after so many seconds")
    parser.add_argument("--limit", type=float, default=240, help="seconds after which a point is ended as failed")
    parser.add_argument("--bases", type=Path, help="folder in which the bases are kept (default: made and deleted)")
    parser.add_argument("--list", action="store_true", help="print the points, and measure none")
    parser.add_argument("--out", type=Path, default=RESULTS / "train" / "grid.json")
    options = parser.parse_args(arguments)

    until = time.monotonic() + options.seconds
    asked = points(options.only, containing=options.containing)
    if options.list:
        print("\n".join(point.name for point in asked))
        return
    num_gpus = torch.cuda.device_count()
    peaks = [matrix_peak(gpu=gpu) for gpu in range(num_gpus)]
    report = opened(options.out, measured_on(min(peaks), gpus=num_gpus))
    asked = in_order(asked, report["results"])
    with tempfile.TemporaryDirectory() as temporary:
        bases = options.bases or Path(temporary)
        make_bases(bases, {point.base for point in asked}, tokenizer=options.tokenizer)
        torch.cuda.empty_cache()
        commands = {
            point: point.command(bases=bases, data=options.data, optimizer=options.optimizer) for point in asked
        }
        walk(commands, report, out=options.out, peaks=peaks, until=until, limit_s=options.limit)
    print(table(report["results"]))
    if missing := in_order(asked, [each for each in report["results"] if "failed" not in each]):
        print("\n".join(["not measured:", *(point.name for point in missing)]))


def opened(out: Path, start: dict[str, Any]) -> dict[str, Any]:
    """The report in this file, or a new one. Ends the program if the file is of another kind of GPU."""
    if not out.exists():
        return {**start, "results": []}
    report = json.loads(out.read_text())
    if (found := report["machine"]["gpu"]) != (gpu := start["machine"]["gpu"]):
        raise SystemExit(f"{out} was measured on {found}, and this is {gpu}: give another --out")
    return report


def in_order(asked: Sequence[Point], results: list[dict[str, Any]]) -> list[Point]:
    """The points that have no result yet, then those that failed."""
    failed = [point for point in asked if any(is_of(point, each) and "failed" in each for each in results)]
    return [point for point in asked if not any(is_of(point, each) for each in results)] + failed


def is_of(point: Point, result: dict[str, Any]) -> bool:
    """Whether this is the result of this point."""
    return all(result[name] == value for name, value in point.as_json().items())


def make_bases(folder: Path, names: set[str], *, tokenizer: str, device: str = "cuda") -> None:
    """Writes the bases that the folder does not hold yet."""
    for name in sorted(names):
        if not (folder / name).exists():
            started, unfinished = time.monotonic(), folder / f"{name}.unfinished"
            make_model(str(unfinished), tokenizer=tokenizer, shape=SHAPES[name], device=device)
            os.replace(unfinished, folder / name)
            print(f"base {name} is made: {time.monotonic() - started:.0f} s", flush=True)


def walk(
    commands: dict[Point, list[str]],
    report: dict[str, Any],
    *,
    out: Path,
    peaks: Sequence[float],
    until: float,
    limit_s: float,
) -> None:
    """Measures the points, each by its command, and writes the report after each."""
    point_of = {tuple(command): point for point, command in commands.items()}
    ended = run_all(list(commands.values()), num_gpus=len(peaks), until=until, limit_s=limit_s)
    for command, result in ended:
        point = point_of[tuple(command)]
        if "failed" not in result:
            share = result["tokens_per_s"] * flop_a_token(SHAPES[point.base]) / peaks[result["gpu"]]
            result["matrix_peak_share"] = share
        earlier = [each for each in report["results"] if not is_of(point, each)]
        report["results"] = [*earlier, {**result, **point.as_json()}]
        out.write_text(json.dumps(report, indent=1) + "\n")
        figure = result.get("failed") or f"{result['tokens_per_s']:,.0f} tokens/s"
        print(f"{point.name}: {figure}; {result.get('engine', '')}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
