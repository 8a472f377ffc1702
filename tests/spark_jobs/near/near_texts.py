"""Texts that are more or less alike, and what is true of them by comparing all with all."""

import random
import unicodedata
from itertools import combinations
from typing import Final

import pyarrow as pa

from contract.text.profiles import JOINERS

THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
VOCABULARY: Final = [f"word{number}" for number in range(5_000)]


def table(texts: list[str]) -> pa.Table:
    """Records of these texts, whose first word is the title."""
    parts = [text.partition(" ") for text in texts]
    return pa.table({"title": [part[0] for part in parts], "content": [part[2] or "x" for part in parts]})


_UNSPACED: Final = tuple("CJK HIRAGANA KATAKANA HANGUL THAI LAO KHMER MYANMAR IDEOGRAPHIC".split())  # noqa: SIM905


def words_of(text: str) -> list[str]:
    """Words between blanks; in scripts that have none, each letter with its marks."""
    parted, is_own = "", False
    for character in text:
        name, category = unicodedata.name(character, "").removeprefix("HALFWIDTH "), unicodedata.category(character)
        if name.startswith(_UNSPACED) and (category[0] == "L" or category == "Nl"):
            parted, is_own = f"{parted} {character}", True
        elif is_own and (category[0] == "M" or character in JOINERS):
            parted += character
        else:
            parted, is_own = parted + " " * is_own + character, False
    return parted.split()


def sets_of(records: pa.Table) -> list[set[str]]:
    """The shingles of each record as texts."""
    found = []
    for record in records.to_pylist():
        words = words_of(f"{record['title']} {record['content']}".lower())
        found.append({" ".join(words[first : first + 3]) for first in range(max(len(words) - 2, 1))})
    return found


def jaccard(left: set[str], right: set[str]) -> float:
    return len(left & right) / len(left | right)


def labels_of(num: int, pairs: list[tuple[int, int]]) -> list[int]:
    """Connected groups, one step at a time."""
    labels = list(range(num))
    for left, right in pairs:
        low, high = sorted((labels[left], labels[right]))
        labels = [low if label == high else label for label in labels]
    return labels


def exact_labels(sets: list[set[str]], threshold: float) -> list[int]:
    pairs = [pair for pair in combinations(range(len(sets)), 2) if jaccard(*(sets[end] for end in pair)) >= threshold]
    return labels_of(len(sets), pairs)


def mutants(seed: int, *, num_originals: int, num_words: int) -> list[str]:
    """Of each text ten copies, in which up to a tenth of the words are others."""
    draw = random.Random(seed)
    texts = []
    for _ in range(num_originals):
        original = draw.choices(VOCABULARY, k=draw.randint(num_words // 2, num_words))
        for _ in range(10):
            rate = draw.uniform(0, 0.1)
            texts.append(" ".join(draw.choice(VOCABULARY) if draw.random() < rate else word for word in original))
    draw.shuffle(texts)
    return texts
