"""Ids that several records share are found in a sample that does not depend on how the records were divided."""

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from contract.columns import KEY_BYTES
from contract.keys import record_keys
from spark_jobs.counts.ids import NUM_IDS, _hashes, merge_ids, num_shared_ids, sample_ids


def sample(uids: list[str | None], texts: list[str]) -> bytes:
    keys = pa.array(record_keys(*[pa.array(texts, pa.string())] * 2), pa.binary(KEY_BYTES))
    return sample_ids(pa.array(uids, pa.string()), keys)


def test_ids_of_several_records_are_counted_but_not_those_of_duplicates() -> None:
    found = sample(
        ["a", "b", "a", "c", "c", "b", "b", "long" * 20, "long" * 20], ["1", "2", "3", "4", "4", "5", "6", "7", "8"]
    )
    assert num_shared_ids(found) == 3
    assert num_shared_ids(sample([], [])) == num_shared_ids(merge_ids([])) == 0


@pytest.mark.parametrize("num", [10, NUM_IDS, 50_000])
def test_samples_of_parts_make_the_sample_of_the_whole(num: int) -> None:
    draw = random.Random(num)
    uids = [f"id-{draw.randrange(num)}" for _ in range(num)]
    texts = [str(draw.randrange(num)) for _ in range(num)]
    whole = sample(uids, texts)
    cuts = sorted({0, num, *(draw.randrange(num) for _ in range(7))})
    parts = [sample(uids[start:end], texts[start:end]) for start, end in pairwise(cuts)]
    draw.shuffle(parts)
    assert merge_ids([merge_ids(parts[:3]), *parts[3:]]) == whole
    assert len(whole) <= 32 * NUM_IDS
    shared = (
        {uid for uid in uids if len({text for one, text in zip(uids, texts, strict=True) if one == uid}) > 1}
        if num < 100
        else None
    )
    if shared is not None:
        assert num_shared_ids(whole) == len(shared)


def test_the_number_is_estimated_where_there_are_more_ids() -> None:
    uids = [f"B{number % 90_000:08}" for number in range(100_000)]  # 10,000 of 90,000 stand twice
    assert num_shared_ids(sample(uids, [str(number) for number in range(100_000)])) == pytest.approx(10_000, rel=0.15)


def test_hashes_differ_and_follow_from_the_text_alone() -> None:
    texts = [*map(str, range(20_000)), *(f"{'x' * length}{end}" for length in range(70) for end in "ab"), "", "\u00e9"]
    array = pa.array(["skip", *texts])
    hashes = _hashes(array[1:])
    assert len(np.unique(hashes)) == len(texts)
    assert (_hashes(pa.array(texts[::-1]))[::-1] == hashes).all()
