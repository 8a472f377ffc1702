"""Seconds to recall with TRL or Unsloth: a search on 1,000 products, then the best recipes on 4,000.

python -m bench.learn.peers trl --base FOLDER --catalogue synth.npz --output FILE.json --seconds 500

The output is written after every run, and the program ends by itself in time. Two GPUs share one peer's search with
--worker 0/2 and --worker 1/2 and outputs of their own, given to each other with --beside.
"""

import argparse
import json
import platform
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from bench.learn.peers.libraries import prepare
from bench.learn.peers.recipe import PeerRecipe, final, fitted, following, ranked, search, speed_trial
from bench.machine import versions

_SEARCHED: Final = 0.5  # of the seconds, at most, for the search
_END_S: Final = 12  # to write and to end


@dataclass
class Session:
    """What a worker has done, and how much time it has left."""

    options: argparse.Namespace
    began: float
    runs: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    has_searched: bool = False

    def left_s(self, share: float = 1) -> float:
        """Seconds until this share of the time is over."""
        return float(share * self.options.seconds) - _END_S - (time.perf_counter() - self.began)

    def write(self) -> None:
        """The output so far."""
        report = {
            "library": self.options.library, "machine": _machine(), "seconds": time.perf_counter() - self.began,
            "has_searched": self.has_searched, "failures": self.failures, "runs": self.runs,
        }  # fmt: skip
        text = json.dumps(report, indent=1) + "\n"
        partial = self.options.output.with_suffix(".part")
        partial.write_text(text)
        partial.replace(self.options.output)

    def known(self) -> list[dict[str, Any]]:
        """Runs of this worker and of those beside it."""
        others = [json.loads(path.read_text()) for path in self.options.beside if path.exists()]
        return [*self.runs, *(run for other in others for run in other["runs"])]


def main(arguments: Sequence[str] | None = None) -> None:
    """Searches, then trains on the whole catalogue as long as there is time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=("trl", "unsloth"))
    parser.add_argument("--base", required=True)
    parser.add_argument("--catalogue", required=True, type=Path, help="file that `bench.learn encode` wrote")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--worker", default="0/1", help="which part of the search, I/N")
    parser.add_argument("--beside", type=Path, nargs="*", default=(), help="outputs of the other workers")
    parser.add_argument("--trial", type=int, help="train so many products for two passes, and nothing else")
    options = parser.parse_args(arguments)
    session = Session(options, time.perf_counter())
    prepare(options.library)
    from bench.learn.catalogue import load_catalogues  # after Unsloth, which must be imported first

    catalogues = load_catalogues(options.catalogue)
    if options.trial:
        small = replace(search()[-1], rank=16, tokens_per_step=2_048, products=options.trial, exposures=2)
        _run(session, catalogues, small)
        return
    _search(session, catalogues)
    _finals(session, catalogues)


def _search(session: Session, catalogues: Any) -> None:
    """The first point, then one pass in 4 bit, then the other points in the faster of the two."""
    worker, workers = map(int, session.options.worker.split("/"))
    first, *others = search()[worker::workers]
    in_bf16 = _run(session, catalogues, first)
    in_4bit = _run(session, catalogues, speed_trial()) if worker == 0 else None
    is_4bit = bool(in_bf16 and in_4bit and in_4bit["tokens_per_s"] > 1.1 * in_bf16["tokens_per_s"])
    for recipe in others:
        left_s = session.left_s(_SEARCHED)
        if left_s > 0 and fitted(recipe, session.runs, left_s=left_s):
            _run(session, catalogues, replace(recipe, is_4bit=is_4bit))
    session.has_searched = True
    session.write()


def _finals(session: Session, catalogues: Any) -> None:
    """Each worker begins with its own of the best recipes, and goes on with more or fewer exposures of it."""
    worker = int(session.options.worker.split("/")[0])
    _wait(session)
    order = [final(recipe) for recipe in ranked(session.known()) or search()][worker:]
    done, recipe = set(), order.pop(0) if order else None
    while recipe and (recipe := fitted(recipe, session.runs, left_s=session.left_s())):
        done.add(recipe.name)
        result = _run(session, catalogues, recipe)
        recipe = following(result) if result else None
        if recipe is None or recipe.name in done:
            recipe = order.pop(0) if order else None


def _wait(session: Session) -> None:
    """Until the workers beside this one have searched, at most to the end of the time for it."""
    while session.left_s(_SEARCHED + 0.05) > 0:
        paths = session.options.beside
        if all(path.exists() and json.loads(path.read_text())["has_searched"] for path in paths):
            return
        time.sleep(1)


def _run(session: Session, catalogues: Any, recipe: PeerRecipe) -> dict[str, Any] | None:
    """One training. Whatever goes wrong is recorded, and the session goes on."""
    from bench.learn.peers.training import release, train

    options = session.options
    result = None
    try:
        result = train(options.library, options.base, catalogues, recipe, stop_s=session.left_s())
        session.runs.append(result)
        print(_line(options.library, result), f"| at {time.perf_counter() - session.began:.0f} s", flush=True)
    except Exception as error:  # noqa: BLE001  a peer may fail in any way, and its other runs are still wanted
        traceback.print_exc()
        session.failures.append({"settings": asdict(recipe), "error": repr(error)[:500]})
    release()
    session.write()
    return result


def _machine() -> dict[str, str]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    packages = ("torch", "transformers", "trl", "peft", "unsloth", "liger-kernel", "bitsandbytes")
    return {"python": platform.python_version(), "device": device} | versions(packages)


def _line(library: str, run: dict[str, Any]) -> str:
    seen, unseen = run["after"]["seen"], run["after"]["unseen"]
    reached = "never" if run["s_to_90"] is None else f"{run['s_to_90']:.1f} s"
    return (
        f"{library} {run['name']}, {run['products']} products: {run['steps']} steps in {run['train_s']:.1f} s"
        f" ({run['tokens_per_s'] / 1000:.0f}k tokens/s, {run['step_s'] * 1000:.0f} ms a step, compiled"
        f" {run['compiled_s']:.0f} s, asked {run['asked_s']:.1f} s): first 32 {seen['first_32']:.1%}, whole"
        f" {seen['whole']:.1%}, loss {seen['loss']:.4f} from {run['before']['seen']['loss']:.3f}; unseen whole"
        f" {unseen['whole']:.1%}; 90 % at {reached}" + (", cut" if run["is_cut"] else "")
    )


if __name__ == "__main__":
    main()
