"""Packs: every example once, few tokens unused."""

import itertools
import random

import pytest

from trainer.examples.encoder import Example
from trainer.stream.packing import choose, pack


def best_total(lengths: list[int], *, max_length: int) -> int:
    """The most tokens of a pack that holds the first, by trying all."""
    rest = lengths[1:]
    sums = (sum(some) for num in range(len(rest) + 1) for some in itertools.combinations(rest, num))
    return lengths[0] + max(total for total in sums if lengths[0] + total <= max_length)


@pytest.mark.parametrize("seed", range(30))
def test_a_pack_holds_the_first_and_as_many_tokens_as_any_could(seed: int) -> None:
    generator = random.Random(seed)
    lengths = [generator.randint(1, 64) for _ in range(generator.randint(1, 12))]

    chosen = choose(lengths, max_length=64)

    assert chosen[0] == 0
    assert chosen == sorted(set(chosen))
    assert sum(lengths[index] for index in chosen) == best_total(lengths, max_length=64)


def test_of_equally_full_packs_the_earliest_records_are_taken() -> None:
    assert choose([30, 10, 20, 10, 4], max_length=40) == [0, 1]
    assert choose([30, 20, 10, 10], max_length=40) == [0, 2]
    assert choose([30, 3, 3, 4, 7], max_length=40) == [0, 1, 2, 3]
    assert choose([64, 1], max_length=64) == [0]


@pytest.mark.parametrize("seed", range(20))
def test_packing_keeps_every_example_once_and_fits(seed: int) -> None:
    generator = random.Random(seed)
    lengths = [generator.choice([1, 5, 30, 64]) for _ in range(generator.randrange(60))]
    examples = [Example(row, [row] * length, 0, 0) for row, length in enumerate(lengths)]

    packs = pack(examples, max_length=64)

    assert sorted(example.row for item in packs for example in item.examples) == list(range(len(lengths)))
    assert all(item.num_tokens <= 64 for item in packs)


def test_packs_of_descriptions_are_full() -> None:
    """The length distribution of real records: log-normal around a prompt of 40 tokens and an answer of 173."""
    generator = random.Random(0)
    lengths = [min(2_048, 40 + round(generator.lognormvariate(4.7, 0.95))) for _ in range(512)]
    packs = pack([Example(row, [0] * length, 0, 0) for row, length in enumerate(lengths)], max_length=2_048)

    assert sum(lengths) / (len(packs) * 2_048) >= 0.98


def test_lengths_beyond_a_full_pack_are_not_looked_at() -> None:
    lengths = iter([30, 10, 7, 5, 5])

    assert choose(lengths, max_length=40) == [0, 1]
    assert list(lengths) == [5, 5]  # one is taken before the pack is known to be full
