"""Whether a question means a title although it is not written like it.

The rule, in words. A question means a title where both have the same words, but for at most two slips; one, if the
title has fewer than four words. A slip is one of these:
- a word with one wrong, missing, additional or swapped letter; words of one or two letters only with swapped ones;
- one word that the question leaves out of a title of three or more;
- a word at another place; a word written twice; two words written as one, or one as two.
A word with a digit has no slips: another number is another product. It may be the word that is left out, of a title
with five words or more. A word that only the question has is no slip: then it means another product.
Where several titles have as few slips, the question means none of them: nobody can tell which.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from rapidfuzz.distance import OSA, LCSseq
from rapidfuzz.fuzz import token_sort_ratio

_MOST_SLIPS: Final = 2
_FEW_WORDS: Final = 4  # of a title; below, one slip is the most
_LEAST_TO_LOSE: Final = 3  # words of a title that may lose one
_LEAST_TO_LOSE_A_NUMBER: Final = 5
_LEAST_LETTERS: Final = 3
_DIGIT: Final = re.compile(r"\d")


def likeness(asked: str, title: str) -> float:
    """How alike two folded texts are, from 0 to 1, wherever their words stand."""
    return max(OSA.normalized_similarity(asked, title), 0.0099 * token_sort_ratio(asked, title))


def num_slips(asked: str, title: str) -> int | None:
    """The number of slips with which a folded question means a folded title; None where it means another."""
    words, expected = asked.split(), title.split()
    most = _MOST_SLIPS if len(expected) >= _FEW_WORDS else 1
    num = _num_slips(words, expected, most=most)
    return num if num is not None and num <= most else None


def _num_slips(words: Sequence[str], expected: Sequence[str], *, most: int) -> int | None:
    """Without the limit; None where there is more than slips, or by far too many of them."""
    common = Counter(words) & Counter(expected)
    extra, missing = _left_over(words, common), _left_over(expected, common)
    if len(extra) > 2 * most or len(missing) > 2 * most:
        return None
    num = _out_of_place(words, expected, common)
    for word in list(extra):
        meant = next((other for other in missing if is_slip(word, other)), None)
        if meant is not None:
            extra.remove(word)
            missing.remove(meant)
            num += 1
    num += _remove_joined(extra, missing) + _remove_joined(missing, extra) + _remove_doubled(extra, words)
    if extra or len(missing) > 1:
        return None
    if missing and len(expected) < (_LEAST_TO_LOSE_A_NUMBER if _DIGIT.search(missing[0]) else _LEAST_TO_LOSE):
        return None
    return num + len(missing)


def is_slip(word: str, expected: str) -> bool:
    """Whether a word is another with one slip of a letter."""
    shorter, longer = sorted((len(word), len(expected)))
    if shorter < _LEAST_LETTERS - 1 or longer - shorter > 1 or _DIGIT.search(word + expected):
        return False
    if longer < _LEAST_LETTERS:
        return word == expected[::-1]
    return OSA.distance(word, expected, score_cutoff=1) <= 1


def _left_over(words: Sequence[str], common: Counter[str]) -> list[str]:
    left, found = dict(common), []
    for word in words:
        if left.get(word, 0):
            left[word] -= 1
        else:
            found.append(word)
    return found


def _out_of_place(words: Sequence[str], expected: Sequence[str], common: Counter[str]) -> int:
    """How many of the words that both have must move so that they stand in the same order."""
    ours, theirs = ([word for word in some if word in common] for some in (words, expected))
    if ours == theirs:
        return 0
    return int(sum(common.values()) - LCSseq.similarity(ours, theirs))


def _remove_joined(parts: list[str], wholes: list[str]) -> int:
    """Removes two neighbours of `parts` and the word of `wholes` that they make; how many pairs there were."""
    num = 0
    for left, right in list(pairwise(parts)):
        if left + right in wholes and left in parts and right in parts:
            wholes.remove(left + right)
            parts.remove(left)
            parts.remove(right)
            num += 1
    return num


def _remove_doubled(extra: list[str], words: Sequence[str]) -> int:
    """Removes words that the question has twice in a row; how many there were."""
    doubled = [word for word in extra if any(pair == (word, word) for pair in pairwise(words))]
    for word in doubled:
        extra.remove(word)
    return len(doubled)
