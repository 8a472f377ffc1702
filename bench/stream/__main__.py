"""Records to tokens from prepared shards: ours, Hugging Face datasets, LitData and MosaicML Streaming, in turn.

Each run is a process of its own on one core, all of them encode with the same encoder, and only ours packs
(bench/stream/contestants.py). The rounds are interleaved, and each begins with another contestant.
Peers run in an environment of their own, with their newest versions. MosaicML Streaming asks for other versions of
numpy and transformers than the project; it runs all the same where `pip install --no-deps` put it and what it imports.
With `--store` the same is read from an object store too, once more after the local rounds; the usual variables
(AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...) say where it is. It answers from another core.

    python -m bench.stream --data DATA --tokenizer FOLDER --peers-python ENV/bin/python
    python -m bench.stream --data DATA --tokenizer FOLDER --only "ours;HF datasets" --no-epoch --records 20000
    python -m bench.stream --data DATA --tokenizer FOLDER --peers-python ENV/bin/python --store s3://BUCKET/FOLDER
"""

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fsspec
from transformers import AutoTokenizer

from bench.machine import machine
from bench.stream.contestants import FastCall
from bench.stream.inputs import LITDATA, MDS
from bench.stream.report import OURS, PEERS, aims, rates, resumes, tables
from contract.manifest import read_manifest
from trainer.examples.encoder import Encoder

_ROOT: Final = Path(__file__).parents[2]
_RESULTS: Final = Path(__file__).parents[1] / "results"
_RESUME_SHARE: Final = 0.9
_WINDOWS: Final = {"ours": 2_048, "ours, T = 32,768": 32_768}
_FAST_CALL: Final = ", fast call"
_STORED: Final = ", object store"
_RATES: Final = (
    *(*_WINDOWS, "ours, without packs", *PEERS, "HF datasets, shuffled", *(peer + _FAST_CALL for peer in PEERS)),
    *(name + _STORED for name in (OURS, *PEERS)),
)
_RESUMES: Final = (
    *(*_WINDOWS, "HF datasets", "HF datasets, shuffled", "HF datasets, state", "LitData", "MosaicML Streaming"),
    *(OURS + _STORED, "HF datasets" + _STORED),
)
_NEED_PEERS: Final = ("LitData", "MosaicML Streaming")
_PACKAGES: Final = ("pyarrow", "tokenizers", "transformers", "torch", "datasets", "litdata", "mosaicml-streaming")


def main(arguments: list[str]) -> int:
    """Measures, writes the results after each round and prints them last. 1 if an aim was missed."""
    options = parse(arguments)
    bench = make_bench(options)
    report: dict[str, Any] = {
        "machine": {**machine(1), "memory_is": "the most that the process held, what is shared with others included"},
        "versions": versions(options.peers_python),
        "data": {"records": bench.num_records, "records_per_run": options.records},
        "epochs": {},
    }
    places: dict[str, Any] = dict.fromkeys((*PEERS, "HF datasets, shuffled"), bench.resume_at)
    if options.epoch:
        for name in filter(options.wants, _WINDOWS):
            report["epochs"][name] = found = bench.run(name, what="epoch", resume_share=_RESUME_SHARE)
            places[name] = found.pop("place")
        if options.wants("HF datasets, state"):
            places["HF datasets, state"] = bench.run("", what="hf_state", num_records=bench.resume_at)["place"]
    found_rates: dict[str, list[dict[str, float]]] = {}
    found_resumes: dict[str, list[dict[str, float]]] = {}
    for number in range(options.rounds):
        for name in _turned(_RATES, number):
            if options.wants(name):
                found_rates.setdefault(name, []).append(bench.run(name, what="rate", num_records=options.records))
        for name in _turned(_RESUMES, number):
            if options.wants(name) and (place := places.get(name.removesuffix(_STORED))):
                found = bench.run(name, what="resume", num_records=0, place=place)
                found_resumes.setdefault(name, []).append(found)
        if options.epoch and not number and options.wants("HF datasets, replayed"):  # takes minutes
            found = bench.run("HF datasets, replayed", what="resume", num_records=0, place=bench.resume_at)
            found_resumes["HF datasets, replayed"] = [found]
        report["data"]["rounds"] = number + 1
        report |= {"rates": rates(found_rates), "resumes": resumes(found_resumes)}
        report |= {"aims": list(aims(report)), "runs": {"rates": found_rates, "resumes": found_resumes}}
        options.out.write_text(json.dumps(report, indent=1) + "\n")  # each time: a later one may hang
    print(f"\n{tables(report)}")
    return 0 if all(row["is_met"] for row in report["aims"]) else 1


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a prepared data set")
    parser.add_argument("--tokenizer", required=True, help="a folder with tokenizer.json")
    parser.add_argument("--records", type=int, default=200_000, help="records of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help=f"some of {'; '.join(_RATES)}, with semicolons between")
    parser.add_argument(
        "--no-epoch", dest="epoch", action="store_false", help="neither whole epochs nor resumes of ours"
    )
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--peers-python", help="interpreter that has LitData and MosaicML Streaming; they need one")
    parser.add_argument("--store", help="a folder of an object store for the inputs: read from there too")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "vitrine-bench-stream")
    parser.add_argument("--out", type=Path, default=_RESULTS / "stream-1core.json")
    options = parser.parse_args(arguments)
    only = [name.strip() for name in options.only.split(";") if name.strip()]
    known = {*_RATES, *_RESUMES, "HF datasets, replayed"}
    if unknown := sorted(set(only) - known):
        parser.error(f"--only knows no {'; '.join(unknown)}: expected some of {'; '.join(sorted(known))}")
    options.wants = lambda name: (
        (not only or name in only)
        and (options.peers_python or not name.startswith(_NEED_PEERS))
        and (options.store or not name.endswith(_STORED))
    )
    return options


@dataclass(frozen=True)
class Bench:
    """What all runs share."""

    options: argparse.Namespace
    num_records: int

    @property
    def resume_at(self) -> int:
        """Records of the split that a resume finds learnt."""
        return int(self.num_records * _RESUME_SHARE)

    def run(self, name: str, *, what: str, place: Any = None, **request: Any) -> dict[str, Any]:
        """One process; prints what it found."""
        folder, window = self.options.folder, _WINDOWS.get(name, _WINDOWS["ours"])
        copies = folder / "copies"
        shutil.rmtree(copies, ignore_errors=True)
        setting = {
            **self._inputs(stored=name.endswith(_STORED)),
            "copies": str(copies),
            "max_length": window,
            "num_records": self.num_records,
        }
        contestant = name.removesuffix(_STORED).removesuffix(", T = 32,768").removesuffix(_FAST_CALL)
        request |= {"what": what, "contestant": contestant, "place": place, "setting": setting}
        request |= {
            "core": self.options.core,
            "cache": str(folder / "hf"),
            "encoder": str(folder / _encoder_name(name)),
        }
        path = folder / "request.json"
        path.write_text(json.dumps(request))
        python = sys.executable if contestant.startswith(OURS) else self.options.peers_python or sys.executable
        done = subprocess.run(
            [python, "-m", "bench.stream.worker", str(path)], cwd=_ROOT, capture_output=True, text=True, timeout=1_800
        )
        if done.returncode:
            raise SystemExit(f"{what} of {name} failed:\n{done.stderr[-3000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
        short = {key: round(value, 3) for key, value in found.items() if isinstance(value, int | float)}
        print(f"{what} of {name or 'HF datasets'}: {short}", flush=True)
        return found

    def _inputs(self, *, stored: bool) -> dict[str, str]:
        folder = self.options.folder
        local = {"data": self.options.data, "litdata": folder / LITDATA, "mds": folder / MDS}
        return {name: f"{self.options.store}/{name}" if stored else str(path) for name, path in local.items()}

    def put_inputs(self) -> None:
        """Puts into the object store what is read from there, if it is not there yet."""
        for name, path in self._inputs(stored=False).items():
            store, target = fsspec.core.url_to_fs(f"{self.options.store}/{name}")
            if Path(path).exists() and not store.exists(target):
                store.put(f"{path}/", f"{target}/", recursive=True)


def make_bench(options: argparse.Namespace) -> Bench:
    """Encoders and inputs of peers, made where they are not there yet."""
    options.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    for name, window in _WINDOWS.items():
        (options.folder / _encoder_name(name)).write_bytes(pickle.dumps(Encoder(tokenizer, max_length=window)))
    fast_call = FastCall(tokenizer, max_length=_WINDOWS["ours"])
    (options.folder / _encoder_name(_FAST_CALL)).write_bytes(pickle.dumps(fast_call))
    if options.peers_python:
        command = [options.peers_python, "-m", "bench.stream.inputs", str(options.data), str(options.folder)]
        subprocess.run(command, cwd=_ROOT, check=True)
    bench = Bench(options, read_manifest(str(options.data)).num_rows("train"))
    if options.store:
        bench.put_inputs()
    return bench


def _encoder_name(contestant: str) -> str:
    window = _WINDOWS.get(contestant, _WINDOWS["ours"])
    return f"fast-call-{window}.pickle" if contestant.endswith(_FAST_CALL) else f"encoder-{window}.pickle"


def _turned(names: tuple[str, ...], number: int) -> tuple[str, ...]:
    first = number % len(names)
    return names[first:] + names[:first]


def versions(peers_python: str | None) -> Mapping[str, str]:
    """Versions of what takes part, as the interpreter of the peers has them."""
    code = (
        "import json, sys; from importlib.metadata import distributions as all_of\n"
        "found = {each.name.lower(): each.version for each in reversed([*all_of()])}\n"  # the first is imported
        "print(json.dumps({name: found.get(name, 'not installed') for name in sys.argv[1:]}))"
    )
    done = subprocess.run([peers_python or sys.executable, "-c", code, *_PACKAGES], capture_output=True, text=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
