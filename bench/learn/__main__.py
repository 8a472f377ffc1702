"""What a LoRA remembers of a catalogue: grids of trainings on one GPU, judged by recall.

python -m bench.learn encode --data DATA_SET --base FOLDER --out synth.npz        # needs the project, no GPU
python -m bench.learn walk --base FOLDER --shelf synth=synth.npz --grid search --out walk.json
python -m bench.learn join walk-*.json --out bench/results/learn-h100.json --law trainer/recipes/law.json
"""

import argparse
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

from bench.figures import rounded
from bench.learn.base import load_base
from bench.learn.catalogue import load_catalogues
from bench.learn.generation import compare, generate, peft_model
from bench.learn.grid import Recipe, recipes
from bench.learn.law import laws
from bench.learn.walk import Shelf, Walker


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    encode = commands.add_parser("encode", help="turn a prepared data set into tokens")
    encode.add_argument("--data", required=True)
    encode.add_argument("--base", required=True)
    encode.add_argument("--out", required=True, type=Path)
    encode.set_defaults(run=_encode)
    walk = commands.add_parser("walk", help="train the points of a grid")
    walk.add_argument("--base", required=True)
    walk.add_argument("--shelf", action="append", required=True, help="NAME=FILE.npz; several times")
    walk.add_argument("--grid", required=True, help="name of a grid of bench/learn/grid.py, or a file of recipes")
    walk.add_argument("--out", required=True, type=Path)
    walk.add_argument("--limit-s", type=float, default=1e9, help="begin no point after so many seconds")
    walk.set_defaults(run=_walk)
    join = commands.add_parser("join", help="make one result of several walks")
    join.add_argument("walks", nargs="+", type=Path)
    join.add_argument("--out", required=True, type=Path)
    join.add_argument("--law", type=Path, help="file for the law of recall, by which the trainer says what to expect")
    join.set_defaults(run=_join)
    options = parser.parse_args(arguments)
    options.run(options)


def _encode(options: argparse.Namespace) -> None:
    from bench.learn.project import encode_data_set, save_catalogues  # the only part that needs the project

    catalogues = encode_data_set(options.data, options.base)
    save_catalogues(catalogues, options.out)
    print(", ".join(f"{len(each):,} {name}" for name, each in catalogues.items()), f"in {options.out}")


def _walk(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    is_gpu = torch.cuda.is_available()
    device, dtype = torch.device("cuda" if is_gpu else "cpu"), torch.bfloat16 if is_gpu else torch.float32
    shelves = {}
    for text in options.shelf:
        name, _, path = text.partition("=")
        catalogues = load_catalogues(Path(path))
        shelves[name] = Shelf(catalogues["seen"], catalogues["unseen"])
    walker = Walker(load_base(options.base, device=device, dtype=dtype), shelves)
    report: dict[str, Any] = {"machine": _machine(), "points": []}
    for recipe in recipes(options.grid):
        if time.perf_counter() - began > options.limit_s:
            print(f"no time left for {recipe.name}", flush=True)
            continue
        seen = shelves[recipe.catalogue].seen
        recipe = replace(recipe, wordings=seen.wordings(recipe.wordings), asked=seen.wordings(recipe.asked))
        point, adapter = walker.walk(recipe)
        if recipe.asked:
            point["wordings"] = _ask_otherwise(walker, recipe, adapter, point["products"])
        if recipe.generated:
            point["generation"] = _generate(walker, recipe, adapter, options.base, point["products"])
        report["points"].append(point)
        options.out.write_text(json.dumps(report, indent=1) + "\n")
        print(_line(point), f"| at {time.perf_counter() - began:.0f} s", flush=True)


def _ask_otherwise(walker: Walker, recipe: Recipe, adapter: Any, num: int) -> dict[str, Any]:
    """Recall of up to 1,000 seen records by other questions."""
    seen = walker.shelves[recipe.catalogue].seen
    records = list(range(min(1_000, num)))
    return {wording: walker.ask(adapter, seen, records, wording).shares() for wording in recipe.asked}


def _generate(walker: Walker, recipe: Recipe, adapter: Any, base: str, num: int) -> dict[str, Any]:
    """Generation beside and merged into the base, held against the forward pass; a minute each."""
    seen = walker.shelves[recipe.catalogue].seen
    records = [record for record in range(num) if len(seen.answers[record]) <= 400][: recipe.generated]
    recalled = walker.ask(adapter, seen, records, recipe.wordings[0])
    model: Any = peft_model(base, adapter, device=walker.base.norm_C.device, dtype=walker.base.norm_C.dtype)
    found = {}
    for name in ("beside", "merged"):
        made = generate(model, seen, records, wording=recipe.wordings[0], batch=256)
        found[name] = compare(recalled, made, seen, records)
        print(name, {key: value for key, value in found[name].items() if key != "differences"}, flush=True)
        model = model.merge_and_unload() if name == "beside" else model
    return found


def _join(options: argparse.Namespace) -> None:
    walks = [json.loads(path.read_text()) for path in options.walks]
    machines = {json.dumps(walk["machine"], sort_keys=True) for walk in walks}
    if len(machines) > 1:
        raise SystemExit(f"these walks are of {len(machines)} machines: join those of one")
    points = [point for walk in walks for point in walk["points"]]
    found = rounded(laws(points))
    head = json.dumps({"machine": walks[0]["machine"], "laws": found}, indent=1).removesuffix("\n}")
    lines = ",\n".join(json.dumps(rounded(point)) for point in points)
    options.out.write_text(f'{head},\n "points": [\n{lines}\n]\n}}\n')
    if options.law:
        document = {
            optimizer: {"source": str(options.out), "points": len(recall.pop("points"))} | recall
            for optimizer, recall in found["recall"].items()
        }
        options.law.write_text(json.dumps(document, indent=1) + "\n")


def _machine() -> dict[str, str]:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    return {
        "device": name, "torch": torch.__version__, "transformers": transformers.__version__,
        "python": platform.python_version(),
    }  # fmt: skip


def _line(point: dict[str, Any]) -> str:
    seen, unseen, settings = point["after"]["seen"], point["after"]["unseen"], point["settings"]
    tokens_s = point["tokens_an_exposure"] * settings["exposures"] / point["train_s"]
    return (
        f"{settings['name']}: {point['products']} x {settings['exposures']:g}, {point['steps']} steps in"
        f" {point['train_s']:.1f} s ({tokens_s / 1000:.0f}k tokens/s, ready in {point['prepared_s']} s): first 8"
        f" {seen['first_8']:.1%}, first 32 {seen['first_32']:.1%}, whole {seen['whole']:.1%}, loss {seen['loss']:.4f};"
        f" unseen first 8 {unseen['first_8']:.1%}, whole {unseen['whole']:.1%}, loss {unseen['loss']:.3f};"
        f" {point['bits_a_parameter']:.3f} bits a parameter"
    )


if __name__ == "__main__":
    main()
