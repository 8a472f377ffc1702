"""The inputs of bench.prepare: a synthetic catalogue, the same one compressed, and another one of twice the lines."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any, Final

from command.progress import ProgressBar
from command.settings import settings_of_result
from synth.catalogue import write_catalogue
from synth.config import SynthConfig

_BLOCK_BYTES: Final = 4 * 2**20


def synthesise(folder: Path, *, rows: int, seed: int, **settings: Any) -> Path:
    """A catalogue in this folder. An existing one is used if it was made with the same settings."""
    path = folder / f"catalogue-{rows}-{seed}.json"
    config = SynthConfig(output=str(path), rows=rows, seed=seed, **settings)
    if truth_of(path).get("config") == settings_of_result(config):
        return path
    progress = ProgressBar(f"synth {path}:")
    write_catalogue(config, on_progress=lambda done: progress.show(done / rows, f"{done:,} lines"))
    progress.done(f"{rows:,} lines")
    return path


def truth_of(path: Path) -> dict[str, Any]:
    """The truth.json that `vitrine synth` wrote beside its catalogue; empty if there is none."""
    truth = path.with_name(f"{path.name}.truth.json")
    return json.loads(truth.read_text()) if path.exists() and truth.exists() else {}


def twice(path: Path, folder: Path) -> Path | None:
    """A catalogue made with the same settings but twice the lines; None if this one has no truth.json."""
    if not (truth := truth_of(path)):
        return None
    settings = truth["config"]
    return synthesise(folder, **{**settings, "rows": 2 * settings["rows"]})


def compressed(path: Path, folder: Path) -> Path:
    """The same bytes as one gzip member, as `gzip` writes them. About 40 s a GB, unless the file exists."""
    state = path.stat()
    target = folder / f"{path.stem}-{state.st_size}-{state.st_mtime_ns}.json.gz"
    if not target.exists():
        partial = target.with_suffix(".partial")
        with path.open("rb") as source, partial.open("wb") as file, gzip.open(file, "wb", compresslevel=6) as stream:
            shutil.copyfileobj(source, stream, _BLOCK_BYTES)
        partial.replace(target)
    return target


def count_lines(path: Path) -> int:
    """The number of lines, including a last one without a line feed. Leaves the file in the page cache."""
    num_lines, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            num_lines += block.count(b"\n")
            last = block[-1:]
    return num_lines + (last != b"\n")


def warm(path: Path) -> None:
    """Reads the file into the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(_BLOCK_BYTES):
            pass
