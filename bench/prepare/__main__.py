"""Time and memory to prepare a catalogue with `vitrine prepare`, two plain scripts, Polars, DuckDB and datatrove.

Each variant reads the same JSON lines, unescapes and cleans titles and contents, drops empty records and exact
duplicates, and writes zstd Parquet files of 100,000 rows (the short script: JSON lines). Each runs in processes of its
own, on the same cores, and its start-up is measured too. Polars and DuckDB run in two ways: with the steps of the plain
script, and with all of ours (bench/prepare/steps.py). In each round all variants run once; each round begins with
another variant. The input is in the page cache.

    python -m bench.prepare                                    # 2,248,619 lines, 3 rounds: an hour or two
    python -m bench.prepare --rows 200000 --rounds 1           # a quick look
    python -m bench.prepare --input catalogue.json --only ours,polars
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from bench.figures import GB, RESULTS
from bench.machine import machine, versions
from bench.prepare.inputs import count_lines, synthesise, truth_of, warm
from bench.prepare.report import Run, differences, ratio_table, ratios, summary, table
from bench.prepare.variants import VARIANTS, NotHereError, Setting, Variant
from bench.process_tree import busy_s, measure
from contract.columns import REJECTED

_ROOT: Final = Path(__file__).parents[2]
_FULL_ROWS: Final = 2_248_619
_SEED: Final = 7
_PACKAGES: Final = ("pyspark", "pyarrow", "msgspec", "pandas", "polars", "duckdb", "datatrove", "orjson")


def main(arguments: list[str]) -> int:
    """Measures, writes the results after each round, prints them last. 1 if a variant failed or did different work."""
    options = parse(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.input or synthesise(options.folder, rows=options.rows or _FULL_ROWS, seed=_SEED)
    variants = make_variants(options.only, Setting(path, options.folder, options.cores))
    report: dict[str, Any] = {
        "machine": machine(cores=options.cores, memory_is="proportional set size of the whole process tree"),
        "versions": {**versions(_PACKAGES), "java": java_version()},
        "input": {"lines": count_lines(path), "bytes": path.stat().st_size, "made_by": truth_of(path).get("config")},
    }
    runs: dict[str, list[Run]] = {variant.name: [] for variant in variants}
    failed: set[str] = set()
    for number in range(options.rounds):
        first = number % len(variants)
        for variant in [*variants[first:], *variants[:first]]:
            if variant.name in failed:
                continue
            if run := run_once(variant, number, folder=options.folder, settle_s=options.settle):
                runs[variant.name].append(run)
            else:
                failed.add(variant.name)
        measured = {name: of_variant for name, of_variant in runs.items() if of_variant}
        report["differences"] = differences(measured, truth=truth_of(path))
        report["ratios"] = ratios(measured)
        report["results"] = [summary(name, of_variant) for name, of_variant in measured.items()]
        options.out.write_text(json.dumps(report, indent=1) + "\n")  # after each round, as a later one may hang
    print(f"\n{table(report['results'])}\n\n{ratio_table(report['ratios'])}")
    for problem in [*report["differences"], *(f"{name} failed" for name in sorted(failed))]:
        print(f"PROBLEM: {problem}")
    return 1 if failed or report["differences"] else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options. A wrong one ends the process with a message."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, help="a catalogue of yours, instead of a synthetic one")
    parser.add_argument("--rows", type=int, help=f"lines of the synthetic catalogue (default: {_FULL_ROWS:,})")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help=f"variants to measure, some of {','.join(VARIANTS)} (default: all)")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--settle", type=float, default=5, help="seconds between two runs, after a sync")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()) / "vitrine-bench",
        help="folder of the inputs, which stay, and of the outputs, which are deleted; 8 GB at full size",
    )
    parser.add_argument("--out", type=Path, help="results file (default: bench/results/prepare-Ncores.json)")
    options = parser.parse_args(arguments)
    options.only = [name for name in options.only.split(",") if name]
    options.out = options.out or RESULTS / f"prepare-{options.cores}cores.json"
    if options.input and options.rows:
        parser.error("--rows makes a catalogue and --input names one: give only one of the two")
    if unknown := sorted(set(options.only) - set(VARIANTS)):
        parser.error(f"--only knows no {', '.join(unknown)}; expected some of {', '.join(VARIANTS)}")
    if options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}, expected at least 1")
    if options.cores > (here := len(os.sched_getaffinity(0))) or options.cores < 1:
        parser.error(f"--cores is {options.cores}, this machine lends {here}")
    return options


def make_variants(only: Sequence[str], setting: Setting) -> list[Variant]:
    """The variants of `only`, or all, with their inputs made. Prints which ones cannot be measured here."""
    found = []
    for name, make in VARIANTS.items():
        if only and name not in only:
            continue
        try:
            found.append(make(setting))
        except NotHereError as reason:
            print(f"{name} is left out: {reason}", flush=True)
    if not found:
        raise SystemExit("nothing is left to measure")
    return found


def run_once(variant: Variant, number: int, *, folder: Path, settle_s: float) -> Run | None:
    """One measured run, whose output is counted and deleted. None where it failed; its last lines are printed then."""
    warm(variant.input)
    output = Path(tempfile.mkdtemp(prefix="output-", dir=folder)) / "data"
    os.sync()
    time.sleep(settle_s)
    try:
        busy = busy_s()
        usage = measure([*variant.command, "--input", str(variant.input), "--output", str(output)], cwd=_ROOT)
        busy = busy_s() - busy
        if usage.exit_code:
            print(f"{variant.name}: failed with exit code {usage.exit_code}:\n{usage.output[-2000:]}", flush=True)
            return None
        files = [
            file for kind in ("parquet", "jsonl") for file in output.rglob(f"*.{kind}") if REJECTED not in file.parts
        ]
        run = Run(
            round=number,
            wall_s=usage.wall_s,
            cpu_s=usage.cpu_s,
            other_cpu_s=max(0.0, busy - usage.cpu_s),
            peak_memory_bytes=usage.peak_memory_bytes,
            kept=sum(map(num_records, files)),
            files=len(files),
            output_bytes=sum(file.stat().st_size for file in files),
        )
    finally:
        shutil.rmtree(output.parent)
    print(
        f"round {number + 1}  {variant.name:24}{run.wall_s:7.1f} s{run.peak_memory_bytes / GB:7.2f} GB"
        f"{run.kept:11,} kept",
        flush=True,
    )
    return run


def num_records(file: Path) -> int:
    """Rows of a Parquet file, or lines of a file of JSON lines."""
    return pq.read_metadata(file).num_rows if file.suffix == ".parquet" else count_lines(file)


def java_version() -> str:
    """The version of the Java that Spark starts, or "not installed"."""
    java = shutil.which("java", path=f"{os.environ['JAVA_HOME']}/bin" if "JAVA_HOME" in os.environ else None)
    text = subprocess.run([java, "-version"], capture_output=True, text=True).stderr if java else ""
    number = re.search(r'"(.+?)"', text)
    return number[1] if number else "not installed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
