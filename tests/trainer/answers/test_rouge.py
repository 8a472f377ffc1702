"""ROUGE-L agrees with the reference implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from trainer.answers.rouge import rouge_l

_TEXTS = st.lists(st.sampled_from(["a", "b", "c", "D", "12", "x.y", "e,", "f-g"]), max_size=15).map(" ".join)


@given(answer=_TEXTS, truth=_TEXTS)
def test_rouge_l_is_that_of_the_rouge_score_package(answer: str, truth: str) -> None:
    expected = RougeScorer(["rougeL"]).score(truth, answer)["rougeL"].fmeasure

    assert rouge_l(answer, truth) == pytest.approx(expected)


def test_rouge_l_counts_words_of_any_script() -> None:
    assert rouge_l("café com açúcar", "café sem açúcar") == pytest.approx(2 / 3)
    assert rouge_l("", "x") == rouge_l("x", "") == 0.0
