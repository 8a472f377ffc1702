"""Histograms are numpy's, and quantiles read off them are near the true ones."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.counts.histogram import EDGES, histogram, quantile


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**28))))
def test_histogram_is_numpys(values: list[int]) -> None:
    found = histogram(np.array(values, np.int64))
    assert list(found.counts[:-1]) == np.histogram(values, bins=[*EDGES[:-1], EDGES[-1] - 0.5])[0].tolist()
    assert found.num == len(values)
    assert (found.total, found.least, found.most) == (sum(values), min(values, default=0), max(values, default=0))


def test_bins_are_narrow() -> None:
    assert EDGES[0] == 0
    assert EDGES[-1] > 256 * 2**20  # the longest line that a setting allows
    assert all(end - start == 1 or end < start * 1.2 for start, end in pairwise(EDGES.tolist()))


@settings(deadline=None)
@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=200), st.sampled_from([0.05, 0.25, 0.5, 0.75, 0.95]))
def test_quantiles_are_right_to_the_width_of_a_bin(values: list[int], share: float) -> None:
    exact = np.quantile(values, share, method="inverted_cdf")
    index = np.searchsorted(EDGES, exact, side="right")
    assert EDGES[index - 1] <= quantile(histogram(np.array(values)), share) <= EDGES[index]
