"""The report of bench.stream: medians with their spread, and each aim beside the figure that was measured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bench.figures import MB, spread

OURS: Final = "ours"
PEERS: Final = ("HF datasets", "LitData", "MosaicML Streaming")

Runs = Mapping[str, Sequence[Mapping[str, float]]]


def rates(runs: Runs) -> list[dict[str, Any]]:
    """One row a contestant: records and tokens a second of wall and of CPU time, the first batch, memory."""
    return [
        {
            "contestant": name,
            "records_per_s": spread(run["records"] / run["wall_s"] for run in of_one),
            "records_per_cpu_s": spread(run["records"] / run["cpu_s"] for run in of_one),
            "tokens_per_s": spread(run["tokens"] / run["wall_s"] for run in of_one),
            "tokens_per_cpu_s": spread(run["tokens"] / run["cpu_s"] for run in of_one),
            "first_s": spread(run["first_s"] for run in of_one),
            "start_mb": spread(run["start_bytes"] / MB for run in of_one),
            "peak_mb": spread(run["peak_bytes"] / MB for run in of_one),
        }
        for name, of_one in runs.items()
    ]


def resumes(runs: Runs) -> list[dict[str, Any]]:
    """One row a contestant: seconds to the first batch after a resume."""
    return [
        {
            "contestant": name,
            "first_s": spread(run["first_s"] for run in of_one),
            "first_cpu_s": spread(run["first_cpu_s"] for run in of_one),
        }
        for name, of_one in runs.items()
    ]


def aims(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each aim with its figure, and whether it is met. Aims whose figure was not measured are left out."""
    rates_of = {row["contestant"]: row for row in report["rates"]}
    resumes_of = {row["contestant"]: row for row in report["resumes"]}
    for name in (OURS, "ours, T = 32,768"):
        if name in rates_of:
            yield _at_least(f"tokens/s of {name}", rates_of[name]["tokens_per_s"]["median"], 400_000)
            yield _at_most(f"peak memory of {name}, MB", rates_of[name]["peak_mb"]["median"], 600)
    for of, suffix in (
        *((OURS, ""), ("ours, without packs", ""), (OURS, ", fast call")),
        (f"{OURS}, object store", ", object store"),
    ):
        for peer in (peer + suffix for peer in PEERS):
            if of in rates_of and peer in rates_of:
                ours, theirs = (rates_of[name]["records_per_cpu_s"]["median"] for name in (of, peer))
                if theirs:  # 0 where the first batch held all records
                    yield _at_least(f"records per second of CPU, {of} / {peer}", ours / theirs, 1)
    for name, found in report["epochs"].items():
        yield _at_least(f"share of tokens in the packs of an epoch, {name}", found["fill"], 0.98)
        yield _at_most(f"memory at the end of an epoch to that at its middle, {name}", _growth(found["memory"]), 1.1)
        yield _at_most(f"peak memory over an epoch, {name}, MB", found["peak_bytes"] / MB, 600)
    if OURS in resumes_of:
        ours_s = resumes_of[OURS]["first_s"]["median"]
        yield _at_most("seconds to the first batch after a resume, ours", ours_s, 2)
        for name in sorted(set(resumes_of) & {"HF datasets", "HF datasets, shuffled", "HF datasets, replayed"}):
            yield _at_least(f"{name}: that time to ours", resumes_of[name]["first_s"]["median"] / ours_s, 20)


def tables(report: Mapping[str, Any]) -> str:
    """Rates, resumes, epochs and aims, for people."""
    lines = [
        f"{'':26}{'records/s':>22}{'/s of CPU':>11}{'tokens/s':>12}{'/s of CPU':>12}{'first, s':>10}{'peak, MB':>10}"
    ]
    for row in report["rates"]:
        speed = row["records_per_s"]
        lines.append(
            f"{row['contestant']:26}{speed['median']:>9,.0f} ({speed['least']:,.0f}-{speed['most']:,.0f})".ljust(48)
            + f"{row['records_per_cpu_s']['median']:>11,.0f}{row['tokens_per_s']['median']:>12,.0f}"
            f"{row['tokens_per_cpu_s']['median']:>12,.0f}{row['first_s']['median']:>10.2f}{row['peak_mb']['median']:>10.0f}"
        )
    lines.append("")
    for row in report["resumes"]:
        seconds = row["first_s"]
        lines.append(
            f"resume, {row['contestant']:26}{seconds['median']:>8.2f} s ({seconds['least']:.2f}-{seconds['most']:.2f}),"
            f" {row['first_cpu_s']['median']:.2f} s of CPU"
        )
    lines.append("")
    for name, found in report["epochs"].items():
        memory = ", ".join(f"{each / MB:.0f}" for each in found["memory"])
        lines.append(
            f"epoch, {name}: {found['records']:,} records in {found['wall_s']:.0f} s, packs {found['fill']:.2%} full,"
            f" {found['cut']:,} records cut, MB at each tenth: {memory}"
        )
    lines.append("")
    lines += [
        f"{row['what']:70}{row['found']:>14,.3f}  aim {row['aim']}: {'met' if row['is_met'] else 'NOT met'}"
        for row in report["aims"]
    ]
    return "\n".join(lines)


def _at_least(what: str, found: float, limit: float) -> dict[str, Any]:
    return {"what": what, "found": found, "aim": f"at least {limit:g}", "is_met": found >= limit}


def _at_most(what: str, found: float, limit: float) -> dict[str, Any]:
    return {"what": what, "found": found, "aim": f"at most {limit:g}", "is_met": found <= limit}


def _growth(memory: Sequence[float]) -> float:
    return memory[-1] / memory[len(memory) // 2]
