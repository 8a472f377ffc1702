"""How much of a catalogue an adapter holds: two laws, fitted to the points of a grid.

A catalogue of M records asks for `need` bits: its answer tokens times the best loss that records unseen had in any
run on so many products, so that what is known without remembering is not counted. An adapter's share of it is what its
loss on the records seen lies below that.

- Capacity, at 30 exposures: share = 1 - exp(-(c parameters / need (steps / 1,000)^g)^k)
- Exposures, where parameters abound (rank 64 and more): log(1 - share) is linear in the logarithms of exposures, rank,
  and records. Its R² is that of the logarithm.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_ROUNDS: Final = 400


def laws(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Both laws' coefficients, R² and errors, for points of the made-up catalogue that went well."""
    best = _best_unseen(points)
    rows = [_row(point, best[point["products"]]) for point in points if point["settings"]["catalogue"] == "synth"]
    capacity = [row for row in rows if row["name"].startswith("capacity")]
    exposures = [row for row in rows if row["rank"] >= 64 and row["is_plain"]]
    return {
        "best_unseen_loss": best,
        "capacity": _fit(capacity, _capacity, target="share", start=(0.0, 0.0, 0.5)) | {"points": capacity},
        "exposures": _fit(exposures, _exposures, target="log_missing", start=(-2.0, -1.0, -0.5, 0.0))
        | {"points": exposures},
    }


def _best_unseen(points: Sequence[dict[str, Any]]) -> dict[int, float]:
    best: dict[int, float] = {}
    for point in points:
        if point["settings"]["catalogue"] == "synth":
            found = [each["unseen"]["loss"] for each in point["curve"]]
            best[point["products"]] = min([best.get(point["products"], math.inf), *found])
    return best


def _row(point: dict[str, Any], best_unseen: float) -> dict[str, Any]:
    """What the laws need of a point."""
    settings, seen = point["settings"], point["after"]["seen"]
    need = point["answer_tokens"] * best_unseen / math.log(2)
    share = 1 - seen["loss"] / best_unseen
    is_plain = (
        settings["schedule"] == "linear"
        and settings["rate_ratio"] == settings["sure_weight"] == 1
        and not settings["rest"]
        and settings["rate"] * settings["rank"] / settings["tokens_per_step"] < 1e-4  # others were unstable
    )
    return {
        "name": settings["name"],
        "rank": settings["rank"],
        "records": point["products"],
        "steps": point["steps"],
        "exposures": settings["exposures"],
        "parameters": point["parameters"],
        "need_bits": need,
        "share": share,
        "log_missing": math.log(seen["loss"] / best_unseen),
        "bits_a_parameter": share * need / point["parameters"],
        "whole": seen["whole"],
        "is_plain": is_plain,
    }


def _capacity(at: Sequence[float], rows: dict[str, Vector]) -> Vector:
    log_c, log_k, power = at
    x = np.exp(log_c) * rows["parameters"] / rows["need_bits"] * (rows["steps"] / 1_000) ** power
    return 1 - np.exp(-(x ** np.exp(log_k)))


def _exposures(at: Sequence[float], rows: dict[str, Vector]) -> Vector:
    constant, of_exposures, of_rank, of_records = at
    logs = constant + of_exposures * np.log(rows["exposures"] / 10) + of_rank * np.log(rows["rank"] / 64)
    return logs + of_records * np.log(rows["records"] / 4_000)


def _fit(
    points: Sequence[dict[str, Any]], law: Callable[..., Vector], *, target: str, start: tuple[float, ...]
) -> dict[str, Any]:
    """Least squares; `left_out_error` is the largest error of a point that was not among those fitted."""
    names = ("rank", "records", "steps", "exposures", "parameters", "need_bits", target)
    rows = {name: np.array([point[name] for point in points], np.float64) for name in names}
    found = _descend(law, rows, start, target)
    errors = law(found, rows) - rows[target]
    left_out = []
    for index in range(len(points)):
        others = {name: np.delete(values, index) for name, values in rows.items()}
        left_out.append(abs(law(_descend(law, others, found, target), rows)[index] - rows[target][index]))
    spread = ((rows[target] - rows[target].mean()) ** 2).sum()
    return {
        "coefficients": found,
        "r_squared": float(1 - (errors**2).sum() / spread),
        "largest_error": float(abs(errors).max()),
        "left_out_error": float(max(left_out)),
    }


def _descend(law: Callable[..., Vector], rows: dict[str, Vector], start: Sequence[float], target: str) -> list[float]:
    """Gauss-Newton with numeric slopes, damped (Levenberg 1944)."""
    at, damping = np.array(start, np.float64), 1.0
    error = law(at, rows) - rows[target]
    for _ in range(_ROUNDS):
        slopes = np.stack([(law(at + step, rows) - law(at, rows)) / 1e-5 for step in 1e-5 * np.eye(len(at))], 1)
        normal = slopes.T @ slopes
        move = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -slopes.T @ error)
        tried = law(at + move, rows) - rows[target]
        if (tried**2).sum() < (error**2).sum():
            at, error, damping = at + move, tried, damping / 3
        else:
            damping = min(damping * 2, 1e9)
    return [float(each) for each in at]
