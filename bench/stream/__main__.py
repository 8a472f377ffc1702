"""Speed from prepared shards to tokens: ours, Hugging Face datasets, LitData and MosaicML Streaming.

Each run is a process of its own on one core. All contestants encode with the same encoder, and only ours packs
(bench/stream/contestants.py). In each round all contestants run once; each round begins with another contestant.
Peers run in an environment of their own, with their newest versions. MosaicML Streaming requires other versions of
numpy and transformers than the project, but also runs with these; install it and what it imports by
`pip install --no-deps`.
With `--store` the inputs are read from an object store as well. The usual variables (AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID, ...) give its address; let it run on another core.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fsspec
from transformers import AutoTokenizer

from bench.figures import RESULTS
from bench.machine import machine
from bench.stream.contestants import FastCall
from bench.stream.inputs import LITDATA, MDS
from bench.stream.report import OURS, PEERS, aims, rates, resumes, tables
from contract.manifest import read_manifest
from trainer.examples.encoder import Encoder

_ROOT: Final = Path(__file__).parents[2]
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
    """Measures, writes the results after each round, prints them last. 1 if an aim was missed."""
    options = parse(arguments)
    bench = make_bench(options)
    report: dict[str, Any] = {
        "machine": machine(cores=1, memory_is="peak resident memory of the process, shared pages included"),
        "versions": versions_of(options.peers_python or sys.executable),
        "data": {"records": bench.num_records, "records_per_run": options.records},
        "epochs": {},
    }
    positions: dict[str, Any] = dict.fromkeys((*PEERS, "HF datasets, shuffled"), bench.resume_at)
    if options.epoch:
        for name in filter(options.wants, _WINDOWS):
            report["epochs"][name] = found = bench.run(name, what="epoch", resume_share=_RESUME_SHARE)
            positions[name] = found.pop("position")
        if options.wants("HF datasets, state"):
            found = bench.run("", what="hf_state", num_records=bench.resume_at)
            positions["HF datasets, state"] = found["position"]
    found_rates: dict[str, list[dict[str, float]]] = {}
    found_resumes: dict[str, list[dict[str, float]]] = {}
    for number in range(options.rounds):
        for name in _turned(_RATES, number):
            if options.wants(name):
                found_rates.setdefault(name, []).append(bench.run(name, what="rate", num_records=options.records))
        for name in _turned(_RESUMES, number):
            if options.wants(name) and (position := positions.get(name.removesuffix(_STORED))):
                found = bench.run(name, what="resume", num_records=0, position=position)
                found_resumes.setdefault(name, []).append(found)
        if options.epoch and not number and options.wants("HF datasets, replayed"):  # takes minutes
            found = bench.run("HF datasets, replayed", what="resume", num_records=0, position=bench.resume_at)
            found_resumes["HF datasets, replayed"] = [found]
        report["data"]["rounds"] = number + 1
        report |= {"rates": rates(found_rates), "resumes": resumes(found_resumes)}
        report |= {"aims": list(aims(report)), "runs": {"rates": found_rates, "resumes": found_resumes}}
        options.out.write_text(json.dumps(report, indent=1) + "\n")  # after each round, as a later one may hang
    print(f"\n{tables(report)}")
    return 0 if all(row["is_met"] for row in report["aims"]) else 1


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options. A wrong one ends the process with a message."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a prepared data set")
    parser.add_argument("--tokenizer", required=True, help="folder with tokenizer.json")
    parser.add_argument("--records", type=int, default=200_000, help="records of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", default="", help=f"some of {'; '.join(_RATES)}, separated by semicolons (default: all)"
    )
    parser.add_argument(
        "--no-epoch", dest="epoch", action="store_false", help="measure neither whole epochs nor resumes of ours"
    )
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument(
        "--peers-python", help="Python with LitData and MosaicML Streaming, without which these two are left out"
    )
    parser.add_argument(
        "--store", help="URL of a folder in an object store: the inputs are copied there, and read from there too"
    )
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "vitrine-bench-stream")
    parser.add_argument("--out", type=Path, default=RESULTS / "stream-1core.json")
    options = parser.parse_args(arguments)
    only = [name.strip() for name in options.only.split(";") if name.strip()]
    known = {*_RATES, *_RESUMES, "HF datasets, replayed"}
    if unknown := sorted(set(only) - known):
        parser.error(f"--only knows no {'; '.join(unknown)}; expected some of {'; '.join(sorted(known))}")
    options.wants = lambda name: (
        (not only or name in only)
        and (options.peers_python or not name.startswith(_NEED_PEERS))
        and (options.store or not name.endswith(_STORED))
    )
    return options


@dataclass(frozen=True)
class Bench:
    """The options and inputs that all runs share."""

    options: argparse.Namespace
    num_records: int

    @property
    def resume_at(self) -> int:
        """The number of records after which a run is resumed."""
        return int(self.num_records * _RESUME_SHARE)

    def run(self, name: str, *, what: str, position: Any = None, **request: Any) -> dict[str, Any]:
        """The results of one process, which are also printed."""
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
        request |= {"what": what, "contestant": contestant, "position": position, "setting": setting}
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
        """Copies the inputs that the object store does not hold yet into it."""
        for name, path in self._inputs(stored=False).items():
            store, target = fsspec.core.url_to_fs(f"{self.options.store}/{name}")
            if Path(path).exists() and not store.exists(target):
                store.put(f"{path}/", f"{target}/", recursive=True)


def make_bench(options: argparse.Namespace) -> Bench:
    """Makes the encoders, and the inputs of peers that are not there yet."""
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


def versions_of(python: str) -> dict[str, str]:
    """The versions of the packages that this interpreter has."""
    done = subprocess.run([python, "-m", "bench.machine", *_PACKAGES], cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
