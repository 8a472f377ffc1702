"""The changes that cleaning made in a text, piece by piece."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(r"&#?\w{1,31};|</?[A-Za-z][^<>]{0,300}>|\w+|\s+|.", re.DOTALL)
_MAX_CELLS: Final = 400_000  # in the table of an alignment, some 0.1 us each; prose of 1,000 characters needs 100,000
_MAX_REFINED: Final = 60  # characters of a changed piece that is compared character by character


class Change(NamedTuple):
    """A piece of a text before and after cleaning: equal where nothing was changed; one of the two may be empty."""

    before: str
    after: str

    @property
    def is_same(self) -> bool:
        """Whether nothing was changed here."""
        return self.before == self.after


def changes(before: str, after: str) -> list[Change]:
    """The pieces of both texts, in order. Changed and unchanged pieces alternate.

    The texts are compared word by word, so that as many characters as possible are unchanged. Then short pieces that
    differ are compared character by character. Of long texts, some thousand words, only the ends are compared.
    """
    pieces = _joined(_aligned(_TOKEN.findall(before), _TOKEN.findall(after)))
    return _joined(fine for piece in pieces for fine in _refined(piece))


def _refined(piece: Change) -> list[Change]:
    """The piece cut by characters, if it is short and at least half of its text after cleaning was there before."""
    if piece.is_same or max(map(len, piece)) > _MAX_REFINED:
        return [piece]
    fine = list(_aligned(list(piece.before), list(piece.after)))
    num_same = sum(len(each.after) for each in fine if each.is_same)
    return fine if 2 * num_same >= len(piece.after) else [piece]


def _aligned(before: list[str], after: list[str]) -> Iterator[Change]:
    """The tokens that are equal at both ends, and between them an alignment, unless that would take long."""
    start = _num_equal(before, after)
    end = _num_equal(before[start:][::-1], after[start:][::-1])
    last = before[len(before) - end :]
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    yield from (Change(token, token) for token in before[:start])
    if len(old) * len(new) > _MAX_CELLS:
        yield Change("".join(old), "".join(new))
    else:
        yield from _longest_in_common(old, new)
    yield from (Change(token, token) for token in last)


def _longest_in_common(before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    """An alignment by the longest common subsequence, measured in characters: each token is in both texts or in one.

    difflib's matching blocks would not do: they mark too much where a text repeats itself.
    """
    # best[i][j]: the most characters that before[i:] and after[j:] can have in common.
    best = [[0] * (len(after) + 1)]
    for token in reversed(before):
        below, row = best[-1], [0] * (len(after) + 1)
        for j in range(len(after) - 1, -1, -1):
            row[j] = below[j + 1] + len(token) if after[j] == token else max(below[j], row[j + 1])
        best.append(row)
    best.reverse()

    i = j = 0
    while i < len(before) or j < len(after):
        if i < len(before) and j < len(after) and before[i] == after[j]:
            yield Change(before[i], after[j])
            i, j = i + 1, j + 1
        elif j == len(after) or (i < len(before) and best[i + 1][j] >= best[i][j + 1]):
            yield Change(before[i], "")
            i += 1
        else:
            yield Change("", after[j])
            j += 1


def _num_equal(before: Sequence[str], after: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))


def _joined(pieces: Iterable[Change]) -> list[Change]:
    joined: list[Change] = []
    for piece in pieces:
        if not (piece.before or piece.after):
            continue
        if joined and joined[-1].is_same == piece.is_same:
            last = joined.pop()
            piece = Change(last.before + piece.before, last.after + piece.after)
        joined.append(piece)
    return joined
