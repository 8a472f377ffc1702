"""What bench.prepare measures: `vitrine prepare` in its ways, and its peers."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Final

from bench.prepare.inputs import compressed, twice
from spark_jobs.config import PrepareConfig


@dataclass(frozen=True)
class Setting:
    """What all variants start from."""

    input: Path
    folder: Path  # of the inputs that have to be made
    cores: int


@dataclass(frozen=True)
class Variant:
    """Something to measure: what it reads, and its command but for `--input` and `--output`."""

    name: str
    input: Path
    command: tuple[str, ...]


class NotHereError(Exception):
    """A variant cannot be measured here; the message says why."""


def ours(setting: Setting) -> Variant:
    """`vitrine prepare` on all the cores."""
    return Variant("ours", setting.input, _prepare(setting.cores))


def ours_compressed(setting: Setting) -> Variant:
    """The same lines from one gzip file."""
    return Variant("ours, .json.gz", compressed(setting.input, setting.folder), _prepare(setting.cores))


def ours_on_one_core(setting: Setting) -> Variant:
    """One task at a time; Java's own threads may still use the other cores."""
    return Variant("ours, one core", setting.input, _prepare(1))


def ours_twice_the_lines(setting: Setting) -> Variant:
    """Another catalogue of twice the lines."""
    double = twice(setting.input, setting.folder)
    if double is None:
        raise NotHereError("only a catalogue of vitrine synth, its truth.json beside it, can be made in twice the size")
    return Variant("ours, twice the lines", double, _prepare(setting.cores))


def ours_with_near_duplicates(setting: Setting) -> Variant:
    """Near-duplicates found and rejected too."""
    if "near_duplicates" not in {field.name for field in fields(PrepareConfig)}:
        raise NotHereError("this version of vitrine prepare has no --near-duplicates")
    return Variant("ours, near-duplicates", setting.input, (*_prepare(setting.cores), "--near-duplicates", "0.8"))


def peer(setting: Setting, *, name: str, module: str) -> Variant:
    """One of the peers, a script of its own."""
    return Variant(name, setting.input, (sys.executable, "-m", module, "--cores", str(setting.cores)))


def _prepare(cores: int) -> tuple[str, ...]:
    return (sys.executable, "-m", "launch.cli", "prepare", "--master", f"local[{cores}]")


# By the name that --only knows.
VARIANTS: Final[Mapping[str, Callable[[Setting], Variant]]] = {
    "ours": ours,
    "plain": partial(peer, name="plain Python", module="bench.prepare.peer_plain"),
    "polars": partial(peer, name="Polars", module="bench.prepare.peer_polars"),
    "duckdb": partial(peer, name="DuckDB", module="bench.prepare.peer_duckdb"),
    "polars-all": partial(peer, name="Polars, our steps", module="bench.prepare.peer_polars_all"),
    "duckdb-all": partial(peer, name="DuckDB, our steps", module="bench.prepare.peer_duckdb_all"),
    "datatrove": partial(peer, name="datatrove", module="bench.prepare.peer_datatrove"),
    "ours-gz": ours_compressed,
    "ours-one": ours_on_one_core,
    "ours-twice": ours_twice_the_lines,
    "ours-near": ours_with_near_duplicates,
}
