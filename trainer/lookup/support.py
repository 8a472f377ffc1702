"""Which words of an answer the catalogue's text supports.

Answer and text are aligned as sequences of words, as two sequences of genes are (Smith and Waterman, 1981). A word is
supported where it stands in both, amid others that do. So a changed number, name or `not` stays unsupported, the words
around it do not, and sentences may stand in another order. What is left of the answer is aligned again, until nothing
is found. Case and punctuation make no difference; signs such as % and $ are words.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

# Scores of an alignment. A word left out of the text costs more than a match is worth, so that the last word of an
# answer, if it was changed, does not jump to its next occurrence. Two neighbours that changed places count as two
# changed words: -4 is more than a skip, a match and an extra word, -9.
_SAME, _CHANGED, _EXTRA, _SKIPPED = 6, -2, -7, -8
_EXTRA_NEGATION, _SKIPPED_NEGATION = -3, -5
_LEAST: Final = 24  # the score of four words in a row; fewer may be there by chance
_LEAST_OF_SHORT: Final = 0.45  # of a short answer: this share of the score that it would have if all were the same
_LONGEST_BREAK: Final = 4  # columns of an alignment without a word that is the same
_MOST_CELLS: Final = 2**22  # of one alignment: 16 MB of scores

# Scripts without blanks between words: there each letter with its marks is a word.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LETTER: Final = rf"(?:[^\W{_UNSPACED}][\u0300-\u036f\u0900-\u0dff\u200c\u200d]*)"  # with its marks
_WORD: Final = re.compile(
    rf"\d+(?:[.,:/]\d+)*[^\W{_UNSPACED}]*"  # a number as one word, with its unit if that follows at once
    rf"|[{_UNSPACED}]"
    rf"|{_LETTER}+(?:['’-]{_LETTER}+)*"
    r"|[^\w\s.,;:!?'\"()\[\]{}`´‘’“”„«»‹›…。，、；：！？¿¡-]"  # any other sign
    r"|(?<![^\W_])-(?=\d)"  # of a negative number
)
_IS_LETTER: Final = re.compile(f"[{_UNSPACED}]")
_NEGATIONS: Final = frozenset(("no", "not", "never", "nor", "without", "cannot", "não", "nao", "nunca", "nem", "sem"))


def supported_spans(answer: str, text: str) -> list[tuple[int, int]]:
    """Where the words of an answer stand that the text supports: (start, stop) in characters, in order.

    A span goes from the first of neighbouring words to the last, with what stands between them. Time and memory grow
    with words times words: 2 ms for 100 words each.
    """
    words, known = list(_words(answer)), [word.text for word in _words(text)]
    if not words or not known:
        return []
    is_supported = _supported([word.text for word in words], known)
    spans: list[tuple[int, int]] = []
    for index, word in enumerate(words):
        if not is_supported[index]:
            continue
        if index and is_supported[index - 1]:
            spans[-1] = (spans[-1][0], word.stop)
        else:
            spans.append((word.start, word.stop))
    return spans


@dataclass(frozen=True)
class _Word:
    text: str  # folded, so that two words are the same or not
    start: int
    stop: int


def _words(text: str) -> Iterator[_Word]:
    for found in _WORD.finditer(text):
        yield _Word(found[0].casefold(), found.start(), found.end())


def _supported(answer: Sequence[str], text: Sequence[str]) -> np.ndarray:
    """For each word of the answer, whether the text supports it."""
    if answer == text:
        return np.ones(len(answer), bool)
    numbers = {word: number for number, word in enumerate(dict.fromkeys(text))}
    text_T = np.array([numbers[word] for word in text], np.int32)
    answer_A = np.array([numbers.get(word, -1) for word in answer], np.int32)
    extra_A = np.array(
        [_EXTRA_NEGATION if word in _NEGATIONS or not word[-1].isalnum() else _EXTRA for word in answer], np.int32
    )
    skipped = [_SKIPPED_NEGATION if word in _NEGATIONS else _SKIPPED for word in text]
    slope = -np.cumsum([0, *skipped], dtype=np.int32)
    supported = np.zeros(len(answer), bool)
    most = max(1, _MOST_CELLS // (len(text) + 1))
    open_parts = [(first, min(first + most, len(answer))) for first in range(0, len(answer), most)]
    least = min(_LEAST, math.ceil(_LEAST_OF_SHORT * _SAME * len(answer)))
    while open_parts:
        first, stop = open_parts.pop()
        if _SAME * (stop - first) < least:
            continue
        columns = _best_alignment(answer_A[first:stop], text_T, extra_A=extra_A[first:stop], slope=slope, least=least)
        if not columns:
            continue
        for part in _without_breaks(columns):
            for index in _matches(part, answer[first:stop], text, least=least):
                supported[first + index] = True
        open_parts += [(first, first + columns[0][0]), (first + columns[-1][0] + 1, stop)]
    return supported


_Column = tuple[int, int, bool]  # index in the answer, place in the text or -1, whether the words are the same


def _best_alignment(
    answer_A: np.ndarray, text_T: np.ndarray, *, extra_A: np.ndarray, slope: np.ndarray, least: int
) -> list[_Column]:
    """The columns of the best local alignment in order, without those of skipped words; empty where it is too weak.

    `extra_A` is what each word of the answer scores if the text lacks it, `slope` the cost of skipping all words of the
    text up to each.
    """
    scores = np.zeros((len(answer_A) + 1, len(text_T) + 1), np.int32)
    for row, word in enumerate(answer_A):
        above, best = scores[row], scores[row + 1]
        best[1:] = above[:-1] + np.where(text_T == word, _SAME, _CHANGED)
        np.maximum(best, above + extra_A[row], out=best)
        np.maximum(best, 0, out=best)
        best[:] = np.maximum.accumulate(best + slope) - slope  # words of the text may be skipped
    row, column = divmod(int(scores.argmax()), len(text_T) + 1)
    if scores[row, column] < least:
        return []
    columns: list[_Column] = []
    while (score := scores[row, column]) > 0:
        is_same = row > 0 and column > 0 and bool(answer_A[row - 1] == text_T[column - 1])
        if row and column and score == scores[row - 1, column - 1] + (_SAME if is_same else _CHANGED):
            row, column = row - 1, column - 1
            columns.append((row, column, is_same))
        elif row and score == scores[row - 1, column] + extra_A[row - 1]:
            row -= 1
            columns.append((row, -1, False))
        else:
            column -= 1
    return columns[::-1]


def _without_breaks(columns: Sequence[_Column]) -> Iterator[list[_Column]]:
    """The alignment cut where many columns in a row are not the same: what lies beyond must stand for itself."""
    part: list[_Column] = []
    num_changed = 0
    for column in columns:
        num_changed = 0 if column[2] else num_changed + 1
        part.append(column)
        if num_changed == _LONGEST_BREAK:
            yield part
            part = []
    yield part


def _matches(part: Sequence[_Column], answer: Sequence[str], text: Sequence[str], *, least: int) -> Iterator[int]:
    """Indices of the answer's supported words, among those that are the same. Not one that lost the `not` before it."""
    same = {index: place for index, place, is_same in part if is_same}
    if _SAME * len(same) < least:
        return
    pairs = {(index, place) for index, place, _ in part if place >= 0}
    for index, place in same.items():
        has_moved = any(_has_moved(index, place, step, pairs, answer, text) for step in (-1, 1))
        if not (has_moved or _is_denied(index, place, pairs, answer, text) or _is_lone_letter(index, same, answer)):
            yield index


_Pairs = set[tuple[int, int]]  # index in the answer and place in the text of the columns that have both


def _has_moved(index: int, place: int, step: int, pairs: _Pairs, answer: Sequence[str], text: Sequence[str]) -> bool:
    """Whether the word and the one before or behind it have changed places: that one has no column with another."""
    other, before = index + step, place - step
    if not (0 <= other < len(answer) and 0 <= before < len(text)) or answer[other] != text[before]:
        return False
    return all(each[0] != other and each[1] != before for each in pairs)


def _is_denied(index: int, place: int, pairs: _Pairs, answer: Sequence[str], text: Sequence[str]) -> bool:
    """Whether the answer leaves out the text's `not` before the word."""
    before = text[place - 1] if place else ""
    if before not in _NEGATIONS or before in answer[max(0, index - 2) : index]:
        return False
    return all(each[1] != place - 1 for each in pairs)


def _is_lone_letter(index: int, same: dict[int, int], answer: Sequence[str]) -> bool:
    """Whether it is one letter of a script without blanks, amid others that were changed: two words may share it."""
    return index - 1 not in same and index + 1 not in same and _IS_LETTER.match(answer[index]) is not None
