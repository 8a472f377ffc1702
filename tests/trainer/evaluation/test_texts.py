"""Scores of texts agree with the packages that others use, and keep accents."""

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import sentence_chrf

from trainer.evaluation import texts
from trainer.evaluation.texts import chrf, repetition, rouge_l, words

_TEXTS = st.lists(
    st.sampled_from(
        ["a", "b", "c", "D", "12", "x.y", "e,", "f-g", "descrição", "c\u0327a\u0303o", "maçã", "हिन्दी", "杯子"]
    ),
    max_size=15,
).map(" ".join)


class OurWords:
    """Our words for the package: its own tokenizer cuts `descrição` in two."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@settings(deadline=None)
@given(answer=_TEXTS, truth=_TEXTS)
def test_rouge_l_is_that_of_the_rouge_score_package_with_our_words(answer: str, truth: str) -> None:
    expected = RougeScorer(["rougeL"], tokenizer=OurWords()).score(truth, answer)["rougeL"].fmeasure

    assert rouge_l(words(answer), words(truth)) == pytest.approx(expected)


@settings(deadline=None)
@given(answer=_TEXTS, truth=_TEXTS)
def test_chrf_is_that_of_sacrebleu(answer: str, truth: str) -> None:
    assert chrf(answer, truth) == pytest.approx(sentence_chrf(answer, [truth]).score / 100)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Descrição, maçã", ["descrição", "maçã"]),
        ("c\u0327a\u0303o", ["ção"]),  # letters and accents apart are the same word
        ("snake_case don't", ["snake", "case", "don", "t"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs are marks
        ("保温杯500ml", ["保", "温", "杯", "500ml"]),
        ("\ud800 <b>", ["b"]),
        ("", []),
    ],
)
def test_words_keep_their_letters_and_marks(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_an_empty_text_shares_nothing() -> None:
    assert rouge_l([], ["x"]) == rouge_l(["x"], []) == 0.0
    assert rouge_l(words("café com açúcar"), words("café sem açúcar")) == pytest.approx(2 / 3)


def test_repetition_counts_runs_of_four_words_that_stood_before() -> None:
    assert repetition(["a", "b", "c", "d", "e", "f"]) == 0
    assert repetition(["a", "b", "c"]) == 0
    assert repetition(["a", "b", "c", "d", "a", "b", "c", "d", "a", "b", "c", "d"]) == pytest.approx(1 - 4 / 9)


def test_docstrings_tell_the_truth() -> None:
    assert doctest.testmod(texts).failed == 0
