"""What each process of the benchmark does; it prints one JSON object.

python -m bench.lookup.work make DATA ...               makes the index
python -m bench.lookup.work ask QUESTIONS DATA ...      looks up the titles of a JSON file
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from bench.figures import MB
from trainer.lookup.catalogue import Catalogue, open_catalogue


def make(data: list[str]) -> dict[str, Any]:
    """Opens the catalogue, whose index is not in the cache yet."""
    began = time.perf_counter()
    catalogue = open_catalogue(data)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time(),
        "records": catalogue.num_records,
        "peak_mb": _peak_mb(),
    }


def ask(questions: list[str], data: list[str]) -> dict[str, Any]:
    """Looks up each title, one after the other."""
    began = time.perf_counter()
    catalogue = open_catalogue(data)
    opened_s = time.perf_counter() - began
    catalogue.find("warm up")
    answers = [_ask(catalogue, question) for question in questions]
    if "torch" in sys.modules:
        raise AssertionError("a look-up loads torch: its memory would be that of torch")
    return {"open_s": opened_s, "peak_mb": _peak_mb(), "answers": answers}


def _ask(catalogue: Catalogue, question: str) -> dict[str, Any]:
    began, began_busy = time.perf_counter(), time.process_time()
    found = catalogue.find(question)
    return {
        "ms": (time.perf_counter() - began) * 1e3,
        "cpu_ms": (time.process_time() - began_busy) * 1e3,
        "found": found.sources[0].title if found.sources else None,
        "exact": found.is_exact,
        "nearest": [each.title for each in found.nearest],
    }


def _peak_mb() -> float:
    """Not of `getrusage`, which counts what the process was before it became this one."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024 / MB


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if name == "make":
        print(json.dumps(make(arguments)))
    else:
        print(json.dumps(ask(json.loads(Path(arguments[0]).read_text()), arguments[1:])))
