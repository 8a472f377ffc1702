"""Intervals hold the truth as often as they say, and say so where there is none."""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from trainer.evaluation.intervals import gap, paired


def test_the_interval_holds_the_true_difference_in_about_95_of_100_samples() -> None:
    generator, hits = np.random.default_rng(1), 0
    for _ in range(200):
        before = generator.normal(0.3, 0.1, 40)
        found = paired(before, before + generator.gamma(2, 0.1, 40), is_share=False)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.2 <= found.high
    assert 180 <= hits <= 198


def test_it_is_paired_bca_of_scipy() -> None:
    generator = np.random.default_rng(2)
    before, after = generator.random(30), generator.random(30)
    found = paired(before, after, is_share=False)
    expected = bootstrap(
        (after - before,), np.mean, n_resamples=2_000, method="BCa", rng=np.random.default_rng(5)
    ).confidence_interval

    assert found.method == "bca"
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.02)
    assert found.difference == pytest.approx(after.mean() - before.mean())


def test_perplexity_is_the_power_of_the_mean_loss() -> None:
    found = paired([math.log(8), math.log(2)], [math.log(2), math.log(2)], is_share=False, is_log=True)

    assert (found.before, found.after) == (pytest.approx(4), pytest.approx(2))


@pytest.mark.parametrize(
    ("before", "after", "is_share", "expected"),
    [
        ([0.0] * 10, [1.0] * 10, True, (0.722, 1.0, "wilson")),  # all came back: still not proven of all others
        ([1.0] * 10, [0.0] * 10, True, (-1.0, -0.722, "wilson")),
        ([0.0] * 10, [0.0] * 10, True, (-0.278, 0.278, "wilson")),
        ([0.25] * 10, [0.5] * 10, False, (None, None, "none")),  # the same change for every title
        ([0.2], [0.7], False, (None, None, "none")),
        ([0.0], [1.0], True, (0.207, 1.0, "wilson")),
    ],
)
def test_where_every_title_changes_alike_no_bootstrap_is_claimed(
    before: list[float], after: list[float], is_share: bool, expected: tuple[float | None, float | None, str]
) -> None:
    found = paired(before, after, is_share=is_share)

    assert found.method == expected[2]
    assert (found.low, found.high) == (expected[:2] if expected[0] is None else pytest.approx(expected[:2], abs=2e-3))


def test_one_title_that_differs_has_an_interval_all_the_same() -> None:
    found = paired([0.0] * 20, [0.0] * 19 + [1.0], is_share=True)

    assert found.low is not None
    assert found.low <= found.difference


def test_a_gap_of_shares_is_newcombes() -> None:
    """Newcombe 1998, table II, example a, method 10: 56/70 less 48/80."""
    found = gap(np.array([1.0] * 56 + [0.0] * 14), np.array([1.0] * 48 + [0.0] * 32))

    assert found is not None
    assert (found.difference, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert gap(np.array([]), np.array([1.0])) is None
