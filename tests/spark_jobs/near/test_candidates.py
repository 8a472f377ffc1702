"""Components are whole, and neither more nor less than what links connect."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.near.candidates import connect, link_equal, plan_candidates
from tests.spark_jobs.near.near_texts import labels_of

LINKS = st.integers(1, 12).flatmap(
    lambda num: st.tuples(st.just(num), st.lists(st.tuples(*[st.integers(0, num - 1)] * 2), max_size=20))
)


@given(LINKS)
def test_connect_agrees_with_the_reference(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    num, links = drawn
    assert connect(num, np.array(links, np.int64).reshape(-1, 2).T).tolist() == labels_of(num, links)


@pytest.mark.parametrize("order", [1, -1])
def test_long_chains_are_connected(order: int) -> None:
    chain = np.random.default_rng(4).permutation(100_000)[::order]
    assert not connect(len(chain), np.stack([chain[1:], chain[:-1]])).any()
    assert not connect(len(chain), np.stack([np.arange(99_999), np.arange(1, 100_000)])[:, ::order]).any()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=30))
def test_links_connect_what_is_equal(entries: list[tuple[int, int]]) -> None:
    values, records = np.array(entries, np.int64).reshape(-1, 2).T
    links = link_equal(values.astype(np.uint64), records)
    equal = [(one[1], other[1]) for one, other in combinations(entries, 2) if one[0] == other[0]]
    assert connect(9, links).tolist() == labels_of(9, equal)
    assert links.shape[1] <= len(set(records.tolist()))


@given(LINKS, st.integers(1, 5), st.integers(1, 5))
def test_components_are_compared_whole(
    drawn: tuple[int, list[tuple[int, int]]], records_per_task: int, max_component: int
) -> None:
    num, links = drawn
    linked = np.array([link for link in links if link[0] != link[1]], np.int64).reshape(-1, 2).T
    expected = np.array(labels_of(num, links))
    found = plan_candidates(linked, records_per_task=records_per_task)
    assert found.numbers.tolist() == np.unique(linked).tolist()
    assert np.array_equal(found.components, expected[found.numbers])
    assert len({*zip(found.components.tolist(), found.tasks.tolist(), strict=True)}) == len(set(found.components))
    assert set(found.tasks) == set(range(found.num_tasks))

    cut = plan_candidates(linked, max_component=max_component)
    assert np.bincount(cut.components, minlength=1).max() <= max_component
    assert (expected[cut.components] == expected[cut.numbers]).all()


def test_a_cut_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    chain = np.stack([np.arange(10), np.arange(1, 11)])
    assert plan_candidates(chain, max_component=4).components.tolist() == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8]
    assert "1 sets of over 4 records" in capsys.readouterr().err
    plan_candidates(chain, max_component=11)
    assert not capsys.readouterr().err
