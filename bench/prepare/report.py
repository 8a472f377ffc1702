"""The report of bench.prepare: medians with their spread, ratios with their aims, and checks of the work done."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.figures import GB, spread

SAME_RECORDS_SHARE: Final = 0.005  # contestants clean by slightly different rules: bench/prepare/work.py
SHORT_SCRIPT_SHARE: Final = 0.01  # it keeps what consists of marks only
OUR_STEPS: Final = ("Polars, our steps", "DuckDB, our steps")
OUR_STEPS_SHARE: Final = 0.001  # the rules are ours, but for the differences that bench/prepare/steps.py names
_OTHER_WORK: Final = ("ours, near-duplicates", "ours, twice the lines")


@dataclass(frozen=True)
class Run:
    """One run of one variant."""

    round: int
    wall_s: float
    cpu_s: float
    other_cpu_s: float  # of all other processes of the machine during this run
    peak_memory_bytes: int
    kept: int
    files: int
    output_bytes: int


@dataclass(frozen=True)
class Aim:
    """A ratio of two medians, with the most or the least that it should be. Without a limit it is only shown."""

    of: str
    to: str
    at_most: float | None = None
    at_least: float | None = None
    measure: str = "wall_s"


AIMS: Final = (
    Aim("ours", "plain Python", at_most=0.6),
    Aim("ours", "short script", at_most=0.35),
    Aim("ours", "Polars, our steps", at_most=1),
    Aim("ours", "DuckDB, our steps", at_most=0.8),
    Aim("ours", "Polars"),  # this one and the next do less work than ours
    Aim("ours", "DuckDB"),
    Aim("datatrove", "ours", at_least=5),
    Aim("ours, .json.gz", "ours", at_most=1.25),
    Aim("ours, one core", "ours", at_least=1.7),
    Aim("ours, twice the lines", "ours", at_most=2.1),
    Aim("ours, twice the lines", "ours", at_most=1.3, measure="peak_memory_bytes"),
    Aim("ours, near-duplicates", "ours", at_most=3),
    Aim("ours", "5 GB", at_most=1, measure="peak_memory_bytes"),
)
_CONSTANTS: Final = {"5 GB": 5 * GB}


def summary(variant: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Median, least and most of each measure, and the runs themselves."""
    measures = ("wall_s", "cpu_s", "other_cpu_s", "peak_memory_bytes")
    return {
        "variant": variant,
        **{name: spread(getattr(run, name) for run in runs) for name in measures},
        "kept": runs[-1].kept,
        "files": runs[-1].files,
        "output_bytes": runs[-1].output_bytes,
        "runs": [asdict(run) for run in runs],
    }


def ratios(runs: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """For each aim whose two sides were measured: the ratio of medians, its spread over rounds, whether it is met."""
    found = []
    for aim in AIMS:
        if not runs.get(aim.of) or not (aim.to in _CONSTANTS or runs.get(aim.to)):
            continue
        ratio = _median(runs, aim.of, aim.measure) / _median(runs, aim.to, aim.measure)
        by_round = list(_by_round(runs, aim))
        least, most = min(by_round), max(by_round)
        found.append({**asdict(aim), "ratio": ratio, "least": least, "most": most, "is_met": _is_met(aim, ratio)})
    return found


def _is_met(aim: Aim, ratio: float) -> bool | None:
    if aim.at_most is not None:
        return ratio <= aim.at_most
    return ratio >= aim.at_least if aim.at_least is not None else None


def _by_round(runs: Mapping[str, Sequence[Run]], aim: Aim) -> Iterator[float]:
    others = {run.round: getattr(run, aim.measure) for run in runs.get(aim.to, ())}
    for run in runs[aim.of]:
        other = _CONSTANTS.get(aim.to) or others.get(run.round)
        if other:
            yield getattr(run, aim.measure) / other


def differences(runs: Mapping[str, Sequence[Run]], *, truth: Mapping[str, Any]) -> list[str]:
    """Signs that the variants did not do the same work; none if all is well."""
    problems = []
    for variant, of_variant in runs.items():
        kept = sorted({run.kept for run in of_variant})
        if len(kept) > 1:
            problems.append(f"{variant} kept {kept} records in different rounds")
    same = {variant: of_variant[0].kept for variant, of_variant in runs.items() if variant not in _OTHER_WORK}
    ours = same.get("ours")
    if truth and ours not in (None, truth["kept"]):
        problems.append(f"ours kept {ours} records, the catalogue's truth says {truth['kept']}")
    expected = truth["kept"] if truth else statistics.median_low(same.values()) if same else 0
    for variant, kept_records in same.items():
        share, wanted = SAME_RECORDS_SHARE, expected
        if variant == "short script":
            share = SHORT_SCRIPT_SHARE
        if variant in OUR_STEPS:
            share, wanted = OUR_STEPS_SHARE, truth["kept"] if truth else ours or expected
        if abs(kept_records - wanted) > share * wanted:
            problems.append(f"{variant} kept {kept_records} records, expected {wanted} within {share:.1%}")
        if variant.startswith("ours,") and ours is not None and kept_records != ours:
            problems.append(f"{variant} kept {kept_records} records, and ours {ours}")
    return problems


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """One line a variant."""
    lines = [f"{'':24}{'wall, s (least-most)':>26}{'CPU, s':>9}{'others, s':>11}{'peak, GB':>10}{'kept':>11}"]
    for result in results:
        wall = result["wall_s"]
        seconds = f"{wall['median']:.1f} ({wall['least']:.1f}-{wall['most']:.1f})"
        lines.append(
            f"{result['variant']:24}{seconds:>26}{result['cpu_s']['median']:>9.1f}"
            f"{result['other_cpu_s']['median']:>11.1f}{result['peak_memory_bytes']['median'] / GB:>10.2f}"
            f"{result['kept']:>11,}"
        )
    return "\n".join(lines)


def ratio_table(found: Sequence[Mapping[str, Any]]) -> str:
    """One line a ratio."""
    lines = []
    for row in found:
        measure = "time" if row["measure"] == "wall_s" else "memory"
        lines.append(
            f"{measure + ' of ' + row['of']:34} / {row['to']:18}{row['ratio']:>7.2f}"
            f" ({row['least']:.2f}-{row['most']:.2f}), {_verdict(row)}"
        )
    return "\n".join(lines)


def _verdict(row: Mapping[str, Any]) -> str:
    if row["is_met"] is None:
        return "no aim: less work"
    limit = f"at most {row['at_most']:g}" if row["at_most"] is not None else f"at least {row['at_least']:g}"
    return f"aim {limit}: {'met' if row['is_met'] else 'NOT met'}"


def _median(runs: Mapping[str, Sequence[Run]], name: str, measure: str) -> float:
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    return statistics.median(getattr(run, measure) for run in runs[name])
