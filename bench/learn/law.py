"""How much of a catalogue an adapter holds: two laws, fitted to the points of a grid.

A catalogue of M records asks for `need` bits: its answer tokens times the best loss that records unseen had in any
run on so many products, so that what is known without remembering is not counted. An adapter's share of it is what its
loss on the records seen lies below that.

- Capacity, at 30 exposures: share = 1 - exp(-(c parameters / need (steps / 1,000)^g)^k)
- Recall: the share of answers that come back whole, of all points that train as the trainer does. The trainer's own
  function (`trainer.recipes.expectation`), with which it says what to expect.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.muon import RATE_OF_UP
from trainer.recipes.expectation import Law, Training, whole_share

Vector = NDArray[np.float64]
_ROUNDS: Final = 400
_OF_CAPACITY: Final = ("parameters", "need_bits", "steps", "share")
# `compressed_bits` and `typical_lengths` of the first 1,000 answers of each catalogue, which the points do not hold.
_COMPRESSED_BITS: Final = {"synth": 825.0, "real": 1_625.0}
_LENGTHS: Final = {
    "synth": (14, 21, 28, 35, 44, 55, 64, 72, 83, 94, 107, 128, 143, 169, 195, 220, 266, 322, 394, 552),
    "real": (7, 16, 24, 29, 42, 49, 57, 66, 74, 83, 95, 104, 119, 139, 163, 193, 220, 255, 295, 391),
}
# What coefficients that few points decide are drawn to, and how far from there they are still likely.
_TOWARDS: Final = Law(
    exposures_needed=7, steepness=12, growth=0.1, of_records=0.05, of_load=0.6, of_texts=-0.2, of_wordings=0.05,
    best_rate=1e-3, of_low_rate=0.13, of_high_rate=0.2, of_steps=0, spread=0,
)  # fmt: skip
_LIKELY: Final = {
    "exposures_needed": 1, "steepness": 10, "growth": 0.3, "of_records": 0.3, "of_load": 0.5, "of_texts": 0.5,
    "of_wordings": 0.3, "best_rate": 0.5, "of_low_rate": 0.3, "of_high_rate": 0.3,
}  # fmt: skip
_IN_LOGARITHMS: Final = ("exposures_needed", "best_rate")
# What is not fitted. Of some values of `of_steps` that were tried, these are the best. AdamW's points have one wording.
# Its 1.3 times the exposures are from Vitrine's runs in all wordings: 1,000 records after 12 came back for 87 %, 5,000
# after 16 for 99 %.
_FIXED: Final = {"adamw": {"of_steps": 0.3, "of_wordings": math.log(1.3)}, "muon": {"of_steps": 0.6}}
_PULL: Final = 4e-4  # how strongly they are drawn there, in squared shares


def laws(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Both laws' coefficients, R² and errors."""
    best = _best_unseen([point for point in points if point["settings"]["optimizer"] == "adamw"])
    capacity = [
        _row(point, best[point["products"]]) for point in points if point["settings"]["name"].startswith("capacity")
    ]
    return {
        "best_unseen_loss": best,
        "capacity": _capacity_law(capacity) | {"points": capacity},
        "recall": {optimizer: recall_law(points, optimizer=optimizer) for optimizer in _FIXED},
    }


def _best_unseen(points: Sequence[dict[str, Any]]) -> dict[int, float]:
    best: dict[int, float] = {}
    for point in points:
        if point["settings"]["catalogue"] == "synth":
            found = [each["unseen"]["loss"] for each in point["curve"]]
            best[point["products"]] = min([best.get(point["products"], math.inf), *found])
    return best


def _row(point: dict[str, Any], best_unseen: float) -> dict[str, Any]:
    """What the law of capacity needs of a point."""
    settings, seen = point["settings"], point["after"]["seen"]
    need = point["answer_tokens"] * best_unseen / math.log(2)
    share = 1 - seen["loss"] / best_unseen
    return {
        "name": settings["name"],
        "rank": settings["rank"],
        "records": point["products"],
        "steps": point["steps"],
        "exposures": settings["exposures"],
        "parameters": point["parameters"],
        "need_bits": need,
        "share": share,
        "bits_a_parameter": share * need / point["parameters"],
        "whole": seen["whole"],
    }


def share_held(at: Sequence[float], rows: dict[str, Vector]) -> Vector:
    log_c, log_k, power = at
    x = np.exp(log_c) * rows["parameters"] / rows["need_bits"] * (rows["steps"] / 1_000) ** power
    return 1 - np.exp(-(x ** np.exp(log_k)))


def _capacity_law(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Least squares; `left_out_error` is the largest error of a point that was not among those fitted."""
    rows = {name: np.array([point[name] for point in points], np.float64) for name in _OF_CAPACITY}
    found = _fit_capacity(rows, start=np.array([0.0, 0.0, 0.5]))
    errors = share_held(found, rows) - rows["share"]
    left_out = []
    for index in range(len(points)):
        others = {name: np.delete(values, index) for name, values in rows.items()}
        left_out.append(abs(share_held(_fit_capacity(others, start=found), rows)[index] - rows["share"][index]))
    spread = ((rows["share"] - rows["share"].mean()) ** 2).sum()
    return {
        "coefficients": [float(each) for each in found],
        "r_squared": float(1 - (errors**2).sum() / spread),
        "largest_error": float(abs(errors).max()),
        "left_out_error": float(max(left_out)),
    }


def _fit_capacity(rows: dict[str, Vector], *, start: Vector) -> Vector:
    return _descend(lambda at: share_held(at, rows) - rows["share"], start, rounds=_ROUNDS)


def _descend(errors: Callable[[Vector], Vector], start: Vector, *, rounds: int) -> Vector:
    """Gauss-Newton with numeric slopes, damped (Levenberg 1944)."""
    at, damping = start, 1.0
    error = errors(at)
    for _ in range(rounds):
        slopes = np.stack([(errors(at + step) - error) / 1e-5 for step in 1e-5 * np.eye(len(at))], 1)
        normal = slopes.T @ slopes
        move = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -slopes.T @ error)
        tried = errors(at + move)
        if (tried**2).sum() < (error**2).sum():
            at, error, damping = at + move, tried, damping / 3
        else:
            damping = min(damping * 2, 1e9)
    return at


def recall_law(points: Sequence[dict[str, Any]], *, optimizer: str) -> dict[str, Any]:
    """The law of recall: coefficients, R², and for each point what is expected when the law is fitted to the others.

    Points that the trainer cannot make are left out: other schedules, rates of B, weights of tokens, records that rest.
    """
    mine = [
        point
        for point in points
        if point["settings"]["optimizer"] == optimizer and _trains_as_the_trainer(point["settings"])
    ]
    trainings = [training_of(point) for point in mine]
    whole = np.array([point["after"]["seen"]["whole"] for point in mine])
    law = _fit_recall(
        trainings, whole, start=replace(_TOWARDS, **_FIXED[optimizer]), fixed=_FIXED[optimizer], rounds=100
    )
    fitted = np.array([whole_share(training, law=law) for training in trainings])
    left_out, apart = [], []
    for index, training in enumerate(trainings):
        rest = [*trainings[:index], *trainings[index + 1 :]]
        other = _fit_recall(rest, np.delete(whole, index), start=law, fixed=_FIXED[optimizer], rounds=10)
        left_out.append(whole_share(training, law=other))
        if 0.01 < whole[index] < 0.99:
            apart.append(_log_apart(training, whole[index], law=other))
    errors = np.array(left_out) - whole
    return {
        "coefficients": asdict(law) | {"spread": float(np.sqrt(np.mean(np.square(apart))))},
        "r_squared": float(1 - ((fitted - whole) ** 2).sum() / ((whole - whole.mean()) ** 2).sum()),
        "largest_error": float(abs(fitted - whole).max()),
        "left_out_error": {"root_mean_square": float(np.sqrt((errors**2).mean())), "largest": float(abs(errors).max())},
        "points": [
            {"name": point["settings"]["name"], "whole": float(share), "expected": float(expected), "left_out": other}
            for point, share, expected, other in zip(mine, whole, fitted, left_out, strict=True)
        ],
    }


def _trains_as_the_trainer(settings: dict[str, Any]) -> bool:
    return (
        settings["schedule"] == "linear"
        and settings["rate_ratio"] == (RATE_OF_UP if settings["optimizer"] == "muon" else 1)
        and settings["sure_weight"] == 1
        and not settings["rest"]
        and not settings["is_rank_stabilised"]
    )


def training_of(point: dict[str, Any]) -> Training:
    settings = point["settings"]
    return Training(
        records=point["products"],
        answer_tokens=_LENGTHS[settings["catalogue"]],
        compressed_bits=_COMPRESSED_BITS[settings["catalogue"]],
        parameters=point["parameters"],
        rank=settings["rank"],
        rate=settings["rate"],
        tokens_per_step=settings["tokens_per_step"],
        tokens_a_record=point["tokens_an_exposure"] / point["products"],
        exposures=settings["exposures"],
        has_wordings=len(settings["wordings"]) > 1,
        optimizer=settings["optimizer"],
    )


def _log_apart(training: Training, whole: float, *, law: Law) -> float:
    """How far the logarithm of the exposures needed would have to be from the law's for this share."""
    low, high = -2.0, 2.0
    for _ in range(40):
        middle = (low + high) / 2
        is_less = whole_share(training, law=law, times_needed=math.exp(middle)) < whole
        low, high = (low, middle) if is_less else (middle, high)
    return low


def _fit_recall(
    trainings: Sequence[Training], whole: Vector, *, start: Law, fixed: Collection[str], rounds: int
) -> Law:
    """Least squares of the shares, from the coefficients of `start`, of which the fixed ones stay."""
    names = [name for name in _LIKELY if name not in fixed]
    likely, towards = np.array([_LIKELY[name] for name in names]), _vector(_TOWARDS, names)

    def errors(at: Vector) -> Vector:
        law = _law(at, names, like=start)
        shares = np.array([whole_share(training, law=law) for training in trainings])
        return np.concatenate([shares - whole, math.sqrt(_PULL) * (at - towards) / likely])

    return _law(_descend(errors, _vector(start, names), rounds=rounds), names, like=start)


def _vector(law: Law, names: Sequence[str]) -> Vector:
    values = [(name, getattr(law, name)) for name in names]
    return np.array([math.log(value) if name in _IN_LOGARITHMS else value for name, value in values])


def _law(vector: Vector, names: Sequence[str], *, like: Law) -> Law:
    values = zip(names, vector.tolist(), strict=True)
    return replace(like, **{name: math.exp(value) if name in _IN_LOGARITHMS else value for name, value in values})
