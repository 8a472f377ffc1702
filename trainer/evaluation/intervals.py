"""95 % intervals of means over titles, from differences that belong to the same title.

Shapes: N titles, D draws.
"""

import math
import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from trainer.evaluation.schema import Gap, Method, Paired
from trainer.recall.summary import wilson

_NUM_DRAWS: Final = 2_000


def paired(before_N: ArrayLike, after_N: ArrayLike, *, is_share: bool, is_log: bool = False) -> Paired:
    """The means of both, and the interval of their difference by the BCa bootstrap (Efron 1987) from a fixed seed.

    With `is_log` the mean is geometric, as that of perplexity: values are losses, and means are shown as their powers.
    Where every title has the same difference, draws of titles say nothing: a share then gets Wilson's interval.
    """
    before, after = np.asarray(before_N, float), np.asarray(after_N, float)
    mean = _mean_of_powers if is_log else _mean
    means = float(mean(before, axis=-1)), float(mean(after, axis=-1))
    low, high, method = _interval(before, after, mean, is_share=is_share)
    return Paired(*means, low, high, method)


def gap(seen_N: NDArray[np.float64], unseen_M: NDArray[np.float64]) -> Gap | None:
    """Of shares of different titles, how much larger that of the seen ones is; None without titles of both kinds.

    The interval is Newcombe's (1998, method 10) of two shares: it is also right where all or no titles come back.
    """
    if not (len(seen_N) and len(unseen_M)):
        return None
    seen, unseen = float(np.mean(seen_N)), float(np.mean(unseen_M))
    (low_s, high_s), (low_u, high_u) = wilson(seen, len(seen_N)), wilson(unseen, len(unseen_M))
    difference = seen - unseen
    return Gap(
        difference,
        difference - math.hypot(seen - low_s, high_u - unseen),
        difference + math.hypot(high_s - seen, unseen - low_u),
    )


def _interval(
    before: NDArray[np.float64], after: NDArray[np.float64], mean: Any, *, is_share: bool
) -> tuple[float | None, float | None, Method]:
    differences = after - before
    if len(differences) and np.all(differences == differences[0]):
        return _of_equal(float(differences[0]), len(differences)) if is_share else (None, None, "none")
    if len(differences) < 2:
        return None, None, "none"

    def change(first: NDArray[np.float64], second: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        return mean(second, axis=axis) - mean(first, axis=axis)

    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a BCa that is not defined is NaN, which is looked for
            found = bootstrap(
                (before, after),
                change,
                paired=True,
                vectorized=True,
                n_resamples=_NUM_DRAWS,
                batch=200,
                method=method,
                rng=np.random.default_rng(0),
            ).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            return float(found.low), float(found.high), "bca" if method == "BCa" else "percentile"
    return None, None, "none"


def _of_equal(difference: float, num: int) -> tuple[float | None, float | None, Method]:
    """The interval where each of `num` titles changed by the same: by 1, by -1 or not at all."""
    if difference not in (-1.0, 0.0, 1.0):
        return None, None, "none"
    low, high = wilson(abs(difference), num)
    if difference < 0:
        low, high = -high, -low
    return (-high if difference == 0 else low), high, "wilson"


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return values.mean(axis=axis)


def _mean_of_powers(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.exp(values.mean(axis=axis))
