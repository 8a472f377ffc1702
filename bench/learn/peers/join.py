"""One result of the peers' outputs and of our own runs' folders, as short as the documents need it.

python -m bench.learn.peers.join trl.json unsloth.json --run NAME=FOLDER … --device NAME --out bench/results/FILE.json

A run is given by its folder with config.json (or parts.json), metrics.jsonl and recall.json. The last probe counts
where recall.json is missing, since the run was stopped. Where metrics.jsonl is missing, as in a run in parts, seconds
are those that the run printed, in train.log.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.figures import rounded
from bench.learn.peers.recipe import REACHED
from bench.learn.peers.training import s_to

Document = Mapping[str, Any]
_SETTINGS: Final = (
    "recipe", "epochs", "tokens_per_step", "learning_rate", "adam_beta2", "lora_rank", "lora_alpha", "wording", "parts",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads all files and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", type=Path, help="outputs of bench.learn.peers, of one library or several")
    parser.add_argument("--run", action="append", default=[], help="NAME=FOLDER of a run of vitrine train")
    parser.add_argument("--device", required=True, help="the GPU of our runs, which their folders do not name")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args(arguments)
    outputs = [json.loads(path.read_text()) for path in options.peers]
    peers = [_peer([each for each in outputs if each["library"] == name]) for name in _names(outputs)]
    runs = [our_run(name, Path(folder)) for name, _, folder in (text.partition("=") for text in options.run)]
    head = f'{{"device": {json.dumps(options.device)},'
    options.out.write_text(f'{head}\n"peers": [\n{_json_lines(peers)}\n],\n"ours": [\n{_json_lines(runs)}\n]}}\n')


def our_run(name: str, folder: Path) -> dict[str, Any]:
    """A run's settings, curve and last recall. `train_s` is the sum of its steps, without start and probes."""
    lines = _lines(folder / "metrics.jsonl")
    steps = {line["step"]: line for line in lines if "step_s" in line}  # steps made twice, after a resume, count once
    probes = [line for line in lines if line.get("recall") and line["recall"]["seen"]]
    report = _document(folder / "recall.json") or probes[-1]["recall"]
    run = {"name": name, "is_stopped": not (folder / "recall.json").exists()} | _settings(folder)
    if steps:
        run |= _timed(steps, probes, num_records=report["trained_records"])
    else:
        run["curve"] = [{"step": line["step"]} | _both(line["recall"]) for line in probes]
    run["printed"] = re.findall(r"trained \d+ steps in \d+s", _text(folder / "train.log"))
    run["after"] = {
        kind: _shares(report[kind]) | {"records": report[kind]["records"], "interval": _interval(report[kind])}
        for kind in ("seen", "unseen")
    }
    run |= {key: report[key] for key in ("trained_records", "bits", "neutral", "wordings") if report.get(key)}
    return run | {key: value for key, value in _document(folder / "expectation.json").items() if key == "expected"}


def _timed(steps: Mapping[int, Document], probes: Sequence[Document], *, num_records: int) -> dict[str, Any]:
    """Seconds of a run and its curve against them."""
    seconds, records, clock_s, trained = {0: 0.0}, {0: 0}, 0.0, 0
    for step in sorted(steps):
        clock_s, trained = clock_s + steps[step]["step_s"], trained + steps[step]["records"]
        seconds[step], records[step] = clock_s, trained
    curve = [
        {"exposures": records[line["step"]] / num_records, "train_s": seconds[line["step"]]} | _both(line["recall"])
        for line in probes
    ]
    return {
        "steps": len(steps),
        "train_s": clock_s,
        "step_s": median(each["step_s"] for each in steps.values()),
        "tokens_per_s": sum(each["tokens"] for each in steps.values()) / clock_s,
        "s_to_90": s_to(curve, REACHED),
        "curve": curve,
    }


def _settings(folder: Path) -> dict[str, Any]:
    found = _document(folder / "config.json") or _document(folder / "parts.json")
    return {
        "settings": {key: found["config"][key] for key in _SETTINGS} if found else None,
        "recipes": [run["recipe"] for run in found.get("runs", [])],
        "versions": found.get("versions"),
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _document(path: Path) -> dict[str, Any]:
    """The file's JSON, empty where there is none."""
    read: dict[str, Any] = json.loads(_text(path) or "{}")
    return read


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _text(path).splitlines()]


def _json_lines(items: Sequence[Document]) -> str:
    return ",\n".join(json.dumps(rounded(each)) for each in items)


def _names(outputs: Sequence[Document]) -> list[str]:
    return sorted({each["library"] for each in outputs})


def _peer(outputs: Sequence[Document]) -> dict[str, Any]:
    """The outputs of one library's workers."""
    runs = [run for output in outputs for run in output["runs"]]
    whole = max(run["products"] for run in runs)
    return {
        "library": outputs[0]["library"],
        "machine": outputs[0]["machine"],
        "failures": [failure for output in outputs for failure in output.get("failures", ())],
        "search": [_peer_run(run, curve=()) for run in runs if run["products"] < whole],
        "finals": [_peer_run(run, curve=run["curve"]) for run in runs if run["products"] == whole],
    }


def _peer_run(run: Document, *, curve: Sequence[Document]) -> dict[str, Any]:
    kept = ("name", "products", "steps", "is_cut", "train_s", "step_s", "tokens_per_s", "compiled_s", "s_to_90")
    found = {key: run[key] for key in kept} | {"exposures": run["settings"]["exposures"]}
    found["after"] = _both(run["after"])
    if curve:
        found["curve"] = [
            {"exposures": point["exposures"], "train_s": point["train_s"]} | _both(point) for point in curve
        ]
    return found


def _both(recall: Document) -> dict[str, Any]:
    return {kind: _shares(recall[kind]) for kind in ("seen", "unseen")}


def _shares(group: Document) -> dict[str, Any]:
    """A group's shares and loss, as our runs or our grids write them."""
    names = ("first_8", "first_32", "whole")
    shares = {name: group[name]["value"] if isinstance(group[name], Mapping) else group[name] for name in names}
    return shares | {"loss": group["loss_after"] if "loss_after" in group else group["loss"]}


def _interval(group: Document) -> list[float]:
    """Of the whole answers."""
    return [group["whole"]["low"], group["whole"]["high"]]


if __name__ == "__main__":
    main()
