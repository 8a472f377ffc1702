"""Rows choose by their own rules: greedy, or by their own random numbers in the right proportions."""

import math
from collections import Counter

import pytest
import torch

from trainer.generation.request import Sampling
from trainer.generation.sampling import Choice, next_tokens

LOGITS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


def choice(seen: tuple[int, ...] = (), **sampling) -> Choice:
    return Choice(Sampling(**sampling), list(seen))


def drawn(num: int, **sampling) -> Counter:
    row = choice(**sampling)
    return Counter(next_tokens(LOGITS[None], [row])[0][0] for _ in range(num))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({"temperature": 1.0}, (0.5, 0.3, 0.15, 0.05)),
        ({"temperature": 0.5}, (0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365)),
        ({"temperature": 1.0, "top_p": 0.7}, (0.625, 0.375, 0, 0)),
        ({"temperature": 1.0, "top_p": 0.81}, (0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0)),
        ({"temperature": 1.0, "top_p": 1e-9}, (1, 0, 0, 0)),
        ({"temperature": 1e-300}, (1, 0, 0, 0)),
    ],
)
def test_tokens_come_in_the_proportions_of_their_probabilities(sampling: dict, expected: tuple[float, ...]) -> None:
    num = 4_000
    found = drawn(num, **sampling)
    for token, share in enumerate(expected):
        assert found[token] / num == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / num))


def test_a_row_draws_the_same_whatever_stands_beside_it() -> None:
    torch.manual_seed(0)
    logits = torch.randn(20, 8, 50)

    def tokens(rows: list[int]) -> list[list[int]]:
        rules = [{"temperature": 1.0}, {}, {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.3}]
        choices = [choice((3, 4), seed=row, **rules[row % 3]) for row in range(8)]
        return [next_tokens(step[rows], [choices[row] for row in rows])[0] for step in logits]

    together = tokens(list(range(8)))
    for row in range(8):
        assert [step[0] for step in tokens([row])] == [step[row] for step in together]
    assert len({tuple(step[row] for step in together) for row in (0, 3, 6)}) == 3  # seeds differ


def test_a_penalty_makes_seen_tokens_less_likely_by_its_factor() -> None:
    logits = torch.tensor([[3.0, 2.0, -1.0, -1.2]])

    assert next_tokens(logits, [choice((0,), repetition_penalty=1.6)])[0] == [1]
    assert next_tokens(logits[:, 2:], [choice((0, 0), repetition_penalty=1.3)])[0] == [1]
    assert next_tokens(logits, [choice((0,), repetition_penalty=1.4)])[0] == [0]
    assert logits[0, 0] == 3


def test_log_probabilities_are_those_before_temperature_and_penalty() -> None:
    rows = [choice((0,), logprobs=2, temperature=5.0, repetition_penalty=9.0, seed=1), choice()]
    tokens, logprobs = next_tokens(LOGITS.repeat(2, 1), rows)

    assert logprobs[1] is None
    assert logprobs[0].token_id == tokens[0]
    assert logprobs[0].logprob == pytest.approx(LOGITS[tokens[0]].item())
    assert [token for token, _ in logprobs[0].top] == [0, 1]
    assert [value for _, value in logprobs[0].top] == pytest.approx([math.log(0.5), math.log(0.3)])


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"repetition_penalty": 0}, {"temperature": math.nan}]
)
def test_rules_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Sampling(**wrong)
