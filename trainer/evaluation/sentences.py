"""The verdict in sentences that need no statistics, in English and Portuguese, and numbers as both write them."""

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from trainer.evaluation.schema import Evaluation, Group, Kind, Paired

Language = Literal["en", "pt"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "pt")


def headline(evaluation: Evaluation, language: Language) -> str:
    """The verdict in one sentence."""
    return _texts(language)[f"learned_{evaluation.verdict.learned}"]


def evidence(evaluation: Evaluation, language: Language) -> Iterator[str]:
    """Why that is the verdict, and what to do, a sentence each."""
    texts, learned = _texts(language), evaluation.verdict.learned
    yield _comes_back("seen", evaluation, language)
    if learned == "part" and evaluation.seen:
        scores = evaluation.seen.scores
        yield texts["beginnings"].format(
            **{name: percent(scores[name].after, language) for name in ("first_8", "first_32")}
        )
    yield _comes_back("unseen", evaluation, language)
    has_whole = any("whole" in group.scores for group in (evaluation.seen, evaluation.unseen) if group)
    if has_whole and (num_cut := sum(title.is_cut for title in evaluation.titles)):
        yield texts["cut"].format(titles=number(num_cut, 0, language))
    if num_known := sum(title.has_trained_text for title in evaluation.titles):
        yield texts["same_text"].format(titles=number(num_known, 0, language))
    if learned in ("remembers", "part") and evaluation.unseen:
        whole = evaluation.unseen.scores.get("whole")
        yield texts["unseen_too" if whole and whole.after > 0 else "unseen_none"]
    if evaluation.seen:
        yield _words_shared(evaluation.seen, language)
    if advice := texts.get(f"advice_{learned}"):
        yield advice


def _comes_back(kind: Kind, evaluation: Evaluation, language: Language) -> str:
    texts, group = _texts(language), evaluation.seen if kind == "seen" else evaluation.unseen
    if group is None:
        return texts[f"no_{kind}"]
    if (whole := group.scores.get("whole")) is None:
        return texts["all_cut"]
    shares = {"before": percent(whole.before, language), "after": percent(whole.after, language)}
    whole_ones = (each for each in evaluation.titles if not (each.is_cut or each.has_trained_text))
    num = len({each.title for each in whole_ones if each.kind == kind})
    return texts[f"{kind}_whole"].format(titles=number(num, 0, language), **shares)


def _words_shared(seen: Group, language: Language) -> str:
    score, texts = seen.scores["rouge_l"], _texts(language)
    text = texts["words"].format(before=number(score.before, 2, language), after=number(score.after, 2, language))
    if score.low is None or score.high is None:
        return f"{text}."
    low, high = (signed(end, 2, language) for end in (score.low, score.high))
    return f"{text}{texts['words_interval'].format(low=low, high=high)}"


def interval(score: Paired, language: Language, *, digits: int, is_share: bool) -> str:
    """The difference and its 95 % interval; without an interval, only the difference.

    >>> interval(Paired(0.1, 0.9, 0.75, 0.85, "bca"), "en", digits=2, is_share=False)
    '+0.80 (+0.75 to +0.85)'
    """
    show = points if is_share else signed
    difference = show(score.difference, digits, language)
    if score.low is None or score.high is None:
        return difference
    to = _texts(language)["to"]
    return f"{difference} ({show(score.low, digits, language)} {to} {show(score.high, digits, language)})"


def number(value: float, digits: int, language: Language) -> str:
    """A number with so many decimals.

    >>> number(1234.5, 1, "en"), number(1234.5, 1, "pt")
    ('1,234.5', '1.234,5')
    """
    return _localized(f"{value:,.{digits}f}", language)


def signed(value: float, digits: int, language: Language) -> str:
    """A difference: with its sign, unless it is shown as 0."""
    text = f"{value:+,.{digits}f}"
    return _localized(text[1:] if not text.strip("+-0.,") else text.replace("-", "\N{MINUS SIGN}"), language)


def percent(share: float, language: Language) -> str:
    """A share as a percentage. Only nothing is 0 %, and only the whole 100 %.

    >>> percent(0.375, "en"), percent(1, "pt"), percent(0.99999, "en")
    ('37.5%', '100%', '> 99.9%')
    """
    if 0 < share < 0.0005 or 0.9995 < share < 1:
        return _localized("< 0.1%" if share < 0.5 else "> 99.9%", language)
    return _localized(f"{share:.0%}" if share in (0, 1) else f"{share:.1%}", language)


def points(difference: float, digits: int, language: Language) -> str:
    """A difference of shares, in points of a hundred."""
    return signed(100 * difference, digits, language)


def _localized(text: str, language: Language) -> str:
    return text if language == "en" else text.translate(str.maketrans(",.", ".,"))


@cache
def _texts(language: Language) -> dict[str, str]:
    return tomllib.loads((files(__package__) / "sentences.toml").read_text(encoding="utf-8"))[language]
