"""One contestant in a process of its own, on one core: python -m bench.stream.worker REQUEST.json → a line of JSON.

Linux only: memory is the peak of the process's resident memory (VmHWM), pages shared with other processes included.
"""

import importlib
import json
import os
import pickle
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.stream.contestants import BATCH_TOKENS, CONTESTANTS, Setting, hf_state_at, our_stream
from trainer.stream.cursor import Cursor

_IMPORTS: Final = {  # imported before a contestant starts, as they take seconds that are no part of a first batch
    "HF datasets": ("datasets",),
    "HF datasets, shuffled": ("datasets",),
    "HF datasets, state": ("datasets",),
    "HF datasets, replayed": ("datasets",),
    "LitData": ("litdata",),
    "MosaicML Streaming": ("accelerate", "streaming"),  # in the other order, streaming 0.13 ends in a circular import
}
_MARKS: Final = 10  # points of an epoch at which memory is read


@dataclass
class _Meter:
    """Counts records and tokens from `start` on."""

    records: int = 0
    tokens: int = 0

    def start(self) -> None:
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def result(self) -> dict[str, float]:
        wall_s, cpu_s = time.perf_counter() - self._wall_s, time.process_time() - self._cpu_s
        return {"records": self.records, "tokens": self.tokens, "wall_s": wall_s, "cpu_s": cpu_s}


def rate(setting: Setting, contestant: str, *, position: Any, max_records: int) -> dict[str, Any]:
    """Seconds to the first BATCH_TOKENS, and the speed of the following records, of which there may be 0."""
    started, cpu_s = time.perf_counter(), time.process_time()
    batches = CONTESTANTS[contestant](setting, position)
    first_tokens = 0
    while first_tokens < BATCH_TOKENS and (batch := next(batches, None)):
        first_tokens += batch[1]
    first = {"first_s": time.perf_counter() - started, "first_cpu_s": time.process_time() - cpu_s}
    meter = _Meter()
    meter.start()
    while meter.records < max_records and (batch := next(batches, None)):
        meter.records += batch[0]
        meter.tokens += batch[1]
    return {**first, **meter.result()}


def epoch(setting: Setting, *, resume_share: float) -> dict[str, Any]:
    """A whole epoch of ours: how full packs are, memory at each tenth, and the cursor after a share of the records."""
    stream = our_stream(setting)
    total, cursor, meter, num_packs, num_cut = stream.num_records, Cursor.start(), _Meter(), 0, 0
    memory: list[int] = []
    position = None
    meter.start()
    for step in stream.epoch(cursor):
        cursor = cursor.after([step.positions], packs_per_step=stream.packs_per_step, records=step.num_records)
        meter.records += step.num_records
        meter.tokens += sum(pack.num_tokens for pack in step.packs)
        num_packs += sum(bool(pack.examples) for pack in step.packs)
        num_cut += sum(example.num_cut > 0 for pack in step.packs for example in pack.examples)
        if meter.records >= total * len(memory) / _MARKS:
            memory.append(_status_bytes("VmRSS"))
        if position is None and meter.records >= resume_share * total:
            position = cursor.to_json()
        if meter.records == total:
            break
    fill = meter.tokens / (num_packs * setting.max_length)
    return {
        **meter.result(),
        "fill": fill,
        "packs": num_packs,
        "cut": num_cut,
        "memory": memory,
        "position": position,
    }


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def main(request_path: str) -> None:
    """Measures one epoch, state or rate, as the request says, and prints the figures."""
    request = json.loads(Path(request_path).read_text())
    os.sched_setaffinity(0, {request["core"]})
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": request["cache"]}
    with open(request["encoder"], "rb") as file:
        request["setting"]["encoder"] = pickle.load(file)  # noqa: S301  # written by bench.stream
    setting = Setting(**request["setting"])
    for module in _IMPORTS.get(request["contestant"], ()):
        importlib.import_module(module)
    at_start = _status_bytes("VmRSS")
    match request["what"]:
        case "epoch":
            found = epoch(setting, resume_share=request["resume_share"])
        case "hf_state":
            found = {"position": hf_state_at(setting, request["num_records"])}
        case _:
            found = rate(
                setting, request["contestant"], position=request["position"], max_records=request["num_records"]
            )
    found |= {"start_bytes": at_start, "peak_bytes": _status_bytes("VmHWM")}
    print(f"\n{json.dumps(found)}", flush=True)
    os._exit(0)  # threads of some peers delay the exit by minutes


if __name__ == "__main__":
    main(sys.argv[1])
