"""From the scores of single titles to means with intervals, and to a verdict."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.intervals import gap, paired
from trainer.evaluation.schema import SCORES, Answer, Group, Kind, Learned, Title, Verdict

LEAST_TITLES: Final = 5  # fewer say nothing about a catalogue
MOST_OF_IT: Final = 0.5  # share of descriptions that come back whole, from which a run counts as one that remembers

_RECALLS: Final = ("whole", "first_32", "first_8")
_SHARES: Final = (*_RECALLS, "ends")


def group(titles: Sequence[Title], kind: Kind) -> Group | None:
    """The means of the titles of this kind that count, before and after; None where there are none.

    The records of one title count as one: their mean. Records that the run's window cuts are in no share of recall,
    because the end of their text was never trained.
    """
    mine = counted(titles, kind)
    if not mine:
        return None
    scores = {}
    for name in SCORES:
        before_N, after_N = values(mine, name)
        if len(before_N):
            scores[name] = paired(before_N, after_N, is_share=name in _SHARES, is_log=name == "perplexity")
    return Group(len(mine), len({title.title for title in mine}), scores)


def counted(titles: Sequence[Title], kind: Kind) -> list[Title]:
    """The titles of this kind, without those whose text was trained under another title: they are neither kind."""
    return [title for title in titles if title.kind == kind and not title.has_trained_text]


def values(titles: Sequence[Title], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of a score before and after, one for each different title; of perplexity the losses."""
    asked = [title for title in titles if not (name in _RECALLS and title.is_cut)]
    numbers = {title: number for number, title in enumerate(dict.fromkeys(each.title for each in asked))}
    sums = np.zeros((len(numbers), 2))
    counts = np.zeros(len(numbers))
    of = _VALUES[name]
    for each in asked:
        number = numbers[each.title]
        sums[number] += of(each.before, each), of(each.after, each)
        counts[number] += 1
    before_N, after_N = (sums / counts[:, None]).T
    return before_N, after_N


def comes_back(answer: Answer, title: Title, num: int | None = None) -> bool:
    """Whether the first `num` tokens of the true text come back word for word, or all of them."""
    return answer.right >= min(title.truth_tokens, title.truth_tokens if num is None else num)


_VALUES: Final[dict[str, Callable[[Answer, Title], float]]] = {
    "whole": comes_back,
    "first_32": lambda answer, title: comes_back(answer, title, 32),
    "first_8": lambda answer, title: comes_back(answer, title, 8),
    "rouge_l": lambda answer, _: answer.rouge_l,
    "chrf": lambda answer, _: answer.chrf,
    "ends": lambda answer, _: answer.ends,
    "perplexity": lambda answer, _: answer.loss,
    "loss": lambda answer, _: answer.loss,
    "repetition": lambda answer, _: answer.repetition,
    "tokens": lambda answer, _: answer.tokens,
}


def judge(titles: Sequence[Title], *, seen: Group | None, unseen: Group | None) -> Verdict:
    """Whether the run learned: from what comes back of seen titles, the interval of the change, and unseen titles.

    A share of recall counts only if it rose, and if it is higher than that of unseen titles: what comes back of those,
    too, such as an opening that all descriptions share, is style.
    """
    seen_ones, unseen_ones = counted(titles, "seen"), counted(titles, "unseen")
    gaps = {name: gap(values(seen_ones, name)[1], values(unseen_ones, name)[1]) for name in _RECALLS}
    learned, by = _learned(seen, {name for name, each in gaps.items() if each is not None and not each.low > 0})
    return Verdict(learned, by, gaps["first_32"] if unseen else None)


def _learned(seen: Group | None, like_unseen: set[str]) -> tuple[Learned, str | None]:
    if seen is None or seen.titles < LEAST_TITLES:
        return "too_few", None
    for name in _RECALLS:
        score = seen.scores.get(name)
        if score and name not in like_unseen and score.low is not None and score.low > 0:
            return ("remembers" if name == "whole" and score.after >= MOST_OF_IT else "part"), name
    loss = seen.scores["loss"]
    if loss.high is not None and loss.high < 0:
        return "style", "loss"
    return "nothing", None
