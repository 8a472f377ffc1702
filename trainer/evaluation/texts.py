"""Scores of one text: how near it is to the true one, and how often it repeats itself."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Final

import pyarrow as pa
from rapidfuzz.distance import LCSseq
from sacrebleu.metrics import CHRF

from contract.text.words import part_words

REPEATED_WORDS: Final = 4


def words(text: str) -> list[str]:
    """The words of a text in lower case: letters with their accents, and digits. Signs part words.

    In scripts that write no blanks each letter is a word, as in `contract.text.words`.

    >>> words("Descrição: 1.5 L, para café")
    ['descrição', '1', '5', 'l', 'para', 'café']
    """
    composed = unicodedata.normalize("NFC", text.lower()).encode(errors="replace").decode()
    marked = "".join(map(_of_a_word, composed))
    (parted,) = part_words(pa.array([marked])).to_pylist()
    return parted.split()


@cache
def _of_a_word(character: str) -> str:
    """The character where it can be a part of a word, else a blank."""
    return character if character.isalnum() or unicodedata.category(character)[0] == "M" else " "


def rouge_l(answer: Sequence[str], truth: Sequence[str]) -> float:
    """How many words of the true text an answer has in the same order, from 0 to 1; both as lists of words.

    F1 of the longest common subsequence (Lin 2004).
    """
    common = LCSseq.similarity(answer, truth)
    if not common:
        return 0.0
    precision, recall = common / len(answer), common / len(truth)
    return 2 * precision * recall / (precision + recall)


def chrf(answer: str, truth: str) -> float:
    """chrF2 of sacrebleu, from 0 to 1: how many runs of up to six characters both texts have (Popović 2015)."""
    return _chrf().sentence_score(answer, [truth]).score / 100


@cache
def _chrf() -> CHRF:
    return CHRF()


def repetition(answer: Sequence[str]) -> float:
    """The share of an answer's runs of four words that stood in it before, from 0 to 1.

    >>> repetition("red mug red mug red mug red mug".split())
    0.6
    """
    runs = [tuple(answer[first : first + REPEATED_WORDS]) for first in range(len(answer) - REPEATED_WORDS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
