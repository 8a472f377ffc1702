"""The variants that bench.prepare measures: `vitrine prepare` in several ways, and its peers."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.prepare.inputs import compressed, twice


@dataclass(frozen=True)
class Setting:
    """What all variants share."""

    input: Path
    folder: Path  # of inputs that are made
    cores: int


@dataclass(frozen=True)
class Variant:
    """One variant: its input, and its command without `--input` and `--output`."""

    name: str
    input: Path
    command: tuple[str, ...]


class NotHereError(Exception):
    """The reason why a variant cannot be measured here."""


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
        raise NotHereError(
            "the input has no truth.json of vitrine synth beside it, so no catalogue of twice the lines can be made"
        )
    return Variant("ours, twice the lines", double, _prepare(setting.cores))


def ours_with_near_duplicates(setting: Setting) -> Variant:
    """Near-duplicates are rejected too."""
    return Variant("ours, near-duplicates", setting.input, (*_prepare(setting.cores), "--near-duplicates", "0.8"))


def peer(setting: Setting, *, name: str, module: str) -> Variant:
    """A peer, which is a script of its own."""
    return Variant(name, setting.input, (sys.executable, "-m", module, "--cores", str(setting.cores)))


def _prepare(cores: int) -> tuple[str, ...]:
    return (sys.executable, "-m", "launch.cli", "prepare", "--master", f"local[{cores}]")


# By their names for --only.
VARIANTS: Final[Mapping[str, Callable[[Setting], Variant]]] = {
    "ours": ours,
    "plain": partial(peer, name="plain Python", module="bench.prepare.peers.by_plain"),
    "script": partial(peer, name="short script", module="bench.prepare.peers.by_script"),
    "polars": partial(peer, name="Polars", module="bench.prepare.peers.by_polars"),
    "duckdb": partial(peer, name="DuckDB", module="bench.prepare.peers.by_duckdb"),
    "polars-all": partial(peer, name="Polars, our steps", module="bench.prepare.peers.by_polars_all"),
    "duckdb-all": partial(peer, name="DuckDB, our steps", module="bench.prepare.peers.by_duckdb_all"),
    "datatrove": partial(peer, name="datatrove", module="bench.prepare.peers.by_datatrove"),
    "ours-gz": ours_compressed,
    "ours-one": ours_on_one_core,
    "ours-twice": ours_twice_the_lines,
    "ours-near": ours_with_near_duplicates,
}
