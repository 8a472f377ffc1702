"""Shingles are what plain Python makes of a text, and bands find as many pairs as they were planned to."""

import random
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.near.shingles import (
    MAX_BANDS,
    MAX_HASHES,
    RECALL,
    Banding,
    Shingles,
    hash_bands,
    plan_bands,
    shingles_of,
)
from tests.spark_jobs.near.near_texts import THRESHOLDS, VOCABULARY, sets_of, table

WORDS = st.sampled_from(
    ["a", "b", "ab", "ba", "É", "é", "日本", "x" * 300, "ＡＢ", "0", "a,", "a.", "7本x", "น้ำ", "ー"]
)
TEXTS = st.lists(st.lists(WORDS, min_size=2, max_size=9).map(" ".join), min_size=1, max_size=12)


@settings(deadline=None)
@given(TEXTS)
def test_hashes_stand_for_shingles_one_to_one(texts: list[str]) -> None:
    records = table(texts)
    shingles = shingles_of(records)
    hash_sets = [set(shingles.hashes[first:end].tolist()) for first, end in pairwise(shingles.starts)]
    for (left, left_hashes), (right, right_hashes) in combinations(zip(sets_of(records), hash_sets, strict=True), 2):
        assert len(left & right) == len(left_hashes & right_hashes)
        assert len(left) == len(left_hashes)


def test_hashes_do_not_depend_on_what_stands_before() -> None:
    """Over several blocks of records and of bytes, a text of many blocks and a word of several among them."""
    draw = random.Random(2)
    texts = [" ".join(draw.choices(VOCABULARY, k=draw.randint(2, 200))) for _ in range(1_200)]
    texts[3:3] = [" ".join(draw.choices(VOCABULARY, k=20_000)), f"a {'y' * 50_000} b {'z' * 20_000}"]
    together = shingles_of(table(texts))
    assert together.num_records == len(texts)
    for number in (0, 1, 2, 3, 4, 5, 499, 500, 501, 502, 1_000, 1_201):
        alone = shingles_of(table(texts[number : number + 1]))
        assert np.array_equal(alone.hashes, together.hashes[slice(*together.starts[number : number + 2])])


def test_hashes_are_the_same_on_every_machine_and_release() -> None:
    shingles = shingles_of(table(["Red cotton shirt, size M", "Café au"]))
    assert shingles.starts.tolist() == [0, 3, 4]
    bands = hash_bands(shingles, Banding(2, 3)).ravel()
    assert [f"{value:x}" for value in (shingles.hashes[0], shingles.hashes[-1])] == [
        "47684050b577bfad",
        "4f8fea0042e0b978",
    ]
    assert [f"{value:x}" for value in bands] == [
        "204a4e8b613ee9a5",
        "b545f7248d74ce39",
        "ea19f3c51433ec35",
        "88bdabfa45f85e95",
    ]


def test_no_records_have_no_shingles() -> None:
    shingles = shingles_of(table([]))
    assert shingles.num_records == 0
    assert hash_bands(shingles, plan_bands(0.8)).shape == (plan_bands(0.8).num_bands, 0)


@pytest.mark.parametrize("threshold", [0.3, *THRESHOLDS])
def test_bands_find_what_was_planned_at_an_affordable_cost(threshold: float) -> None:
    banding = plan_bands(threshold)
    assert banding.recall(threshold) >= RECALL
    assert banding.num_bands <= MAX_BANDS
    assert banding.num_bands * banding.num_rows <= MAX_HASHES


@pytest.mark.parametrize(("size", "common"), [(9, 8), (18, 16), (90, 80), (180, 160)])
def test_a_pair_at_the_threshold_is_found_as_often_as_planned(size: int, common: int) -> None:
    """Of 2,000 pairs of similarity 0.8; a tenth of them, too, with each band alone."""
    draw = np.random.default_rng(3)
    num_pairs = 2_000
    lots = draw.integers(0, 2**64 - 1, (num_pairs, 2 * size - common), np.uint64)
    sets = np.concatenate([lots[:, :size], lots[:, -size:]])
    shingles = Shingles(sets.ravel(), np.arange(2 * num_pairs + 1) * size)
    banding = plan_bands(0.8)
    bands = hash_bands(shingles, banding)
    is_equal = bands[:, :num_pairs] == bands[:, num_pairs:]
    assert is_equal.any(axis=0).mean() > RECALL - 0.01
    assert is_equal.mean() == pytest.approx(0.8**banding.num_rows, abs=0.02)
