"""From the scores of tokens to shares, intervals and bits: arithmetic over a grid."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from trainer.examples.encoder import Example, Pack, Record
from trainer.native import Scores
from trainer.plan.order import Rank
from trainer.recall.measure import Recalled, interleaved, measure
from trainer.recall.summary import bits, group, share

WINDOW = 60


@dataclass(frozen=True)
class Guesser:
    """An engine that is right at the tokens that are even numbers, with a loss of a tenth of the token."""

    pack_num: int

    def batches(self, packs: list[Pack]) -> list[Any]:
        """Several packs at a time, as an engine may do."""
        filled = [pack for pack in packs if pack.num_answer_tokens]
        return [filled[first : first + self.pack_num] for first in range(0, len(filled), self.pack_num)]

    def scores(self, batch: list[Pack]) -> Scores:
        answers = [id_ for pack in batch for each in pack.examples for id_ in each.ids[each.num_prompt :]]
        ids_A = torch.tensor(answers, dtype=torch.float32)
        return Scores(ids_A / 10, ids_A % 2 == 0)


def made_up_records(num: int, *, seed: int = 0) -> tuple[list[Record], dict[int, Example]]:
    """Records whose answers have 1 to 50 tokens, most of them right; some are cut, some have no answer at all."""
    draw = np.random.default_rng(seed)
    examples = {}
    for row in range(num):
        prompt, answer = int(draw.integers(1, 12)), int(draw.integers(1, 51))
        ids = [1] * prompt + (draw.integers(0, 40, answer) * 2 + (draw.random(answer) < 0.03)).tolist()
        if row % 17 == 3:
            ids = [1] * WINDOW + ids
        examples[row] = Example(row, ids[:WINDOW], min(prompt + WINDOW * (row % 17 == 3), WINDOW), len(ids[WINDOW:]))
    return [Record(row, f"title {row % 7}", "") for row in range(num)], examples


def naive(examples: list[Example]) -> list[tuple[int, int, float]]:
    """Answer tokens, leading right ones and loss of each example, counted one by one."""
    found = []
    for example in examples:
        answer = example.ids[example.num_prompt :]
        right = len(list(itertools.takewhile(lambda id_: id_ % 2 == 0, answer)))
        found.append((len(answer), right, sum(answer) / 10))
    return found


@pytest.mark.parametrize("num", [0, 1, 2, 50, 3_000])
@pytest.mark.parametrize("pack_num", [1, 7])
def test_every_record_gets_its_own_tokens(num: int, pack_num: int) -> None:
    records, examples = made_up_records(num)
    done = []

    recalled = measure(
        Guesser(pack_num), iter(records), lambda some: [examples[each.row] for each in some], on_done=done.append
    )

    found = zip(recalled.num_tokens_N.tolist(), recalled.num_right_N.tolist(), recalled.loss_N.tolist(), strict=True)
    for one, other in zip(found, naive(list(examples.values())), strict=True):
        assert one == pytest.approx(other)
    assert recalled.titles == tuple(record.title for record in records)
    assert recalled.is_cut_N.tolist() == [each.num_cut > 0 for each in examples.values()]
    assert (done[-1] if done else 0) == num
    of = group(recalled, before=None)
    if of is None:
        assert num == 0
    else:
        assert of.first_8.value >= of.first_32.value >= of.whole.value
        assert (of.records, of.cut_records) == ((~recalled.is_cut_N).sum(), recalled.is_cut_N.sum())


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("num", [0, 1, 5, 100])
def test_ranks_share_the_records_and_find_the_same_together(num: int, world: int) -> None:
    records, examples = made_up_records(num)

    def encode(some):
        return [examples[each.row] for each in some]

    alone = measure(Guesser(3), records, encode)
    parts = [measure(Guesser(3), records[rank::world], encode, rank=Rank(0, 1)) for rank in range(world)]
    together = interleaved(parts)

    assert together.titles == alone.titles
    for name in ("num_tokens_N", "num_right_N", "is_cut_N"):
        assert np.array_equal(getattr(together, name), getattr(alone, name))
    np.testing.assert_allclose(together.loss_N, alone.loss_N)


@pytest.mark.parametrize("num_right", [0, 1, 3, 40, 79, 80])
@pytest.mark.parametrize("a_title", [1, 2, 5])
def test_an_interval_holds_the_share_and_counts_titles_not_records(num_right: int, a_title: int) -> None:
    """Records of a title that are alike make the interval no narrower."""
    titles = tuple(f"title {number}" for number in range(80))
    is_right = np.arange(80) < num_right

    once = share(is_right, titles)
    often = share(np.repeat(is_right, a_title), tuple(title for title in titles for _ in range(a_title)))

    assert once.value == num_right / 80
    assert 0 <= once.low <= once.value <= once.high <= 1
    assert once.low < once.high
    assert (often.low, often.high) == (once.low, once.high)


def test_an_interval_is_that_of_drawing_titles_one_by_one() -> None:
    draw = np.random.default_rng(3)
    sizes = draw.integers(1, 5, 60)
    titles = tuple(str(number) for number, size in enumerate(sizes) for _ in range(size))
    is_right = draw.random(len(titles)) < draw.random(60)[np.array(titles, int)]

    found = share(is_right, titles)

    by_title = [is_right[np.array(titles) == str(number)] for number in range(60)]
    drawn = [np.concatenate([by_title[each] for each in draw.integers(60, size=60)]).mean() for _ in range(4_000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)
    assert found.value == is_right.mean()


@pytest.mark.parametrize("num", [1, 10, 100, 10_000])
def test_none_of_n_and_n_of_n_have_wilsons_bound(num: int) -> None:
    titles = tuple(map(str, range(num)))
    none, every = share(np.zeros(num, np.bool_), titles), share(np.ones(num, np.bool_), titles)

    uneven = (*titles, *titles[::2])  # every second title has two records
    assert share(np.zeros(len(uneven), np.bool_), uneven) == none
    assert share(np.ones(len(uneven), np.bool_), uneven) == every
    z = 1.959964
    assert (none.low, every.high) == (0, 1)
    assert none.high == pytest.approx(z**2 / (num + z**2))
    assert every.low == pytest.approx(1 - none.high)
    if num == 10:
        assert none.high == pytest.approx(0.278, abs=1e-3)  # the value in textbooks


@pytest.mark.parametrize("num_sampled", [5, 50])
@pytest.mark.parametrize(("seen_loss", "unseen_gain"), [(0.5, 0.0), (0.5, 0.75), (2.0, 1.5)])
def test_bits_are_the_nats_that_only_seen_records_gained_whatever_the_sample(
    num_sampled: int, seen_loss: float, unseen_gain: float
) -> None:
    """Worked by hand: 1,000 records of 20 tokens, whose loss fell from 3.0."""
    nums = np.full(num_sampled, 20)
    titles = tuple(map(str, range(num_sampled)))
    after = Recalled(titles, nums, nums, seen_loss * nums.astype(float), np.zeros(num_sampled, np.bool_))

    found = bits(group(after, before=3.0), unseen_gain=unseen_gain, records=1_000, parameters=4_000)

    assert found is not None
    assert found.stored == pytest.approx(1_000 * 20 * (3.0 - seen_loss - unseen_gain) / math.log(2))
    assert found.a_record == pytest.approx(found.stored / 1_000)
    assert found.a_parameter == pytest.approx(found.stored / 4_000)
    assert bits(group(after, before=None), unseen_gain=0.0, records=1, parameters=1) is None


def test_the_base_is_compared_on_the_records_on_which_it_was_measured() -> None:
    nums = np.full(4, 10)
    after = Recalled(tuple("abcd"), nums, nums, np.array([10.0, 20.0, 70.0, 70.0]), np.zeros(4, np.bool_))

    of = group(after, before=3.0, compared=after.first(2))

    assert of is not None
    assert (of.records, of.loss_before, of.loss_after) == (4, 3.0, 1.5)
