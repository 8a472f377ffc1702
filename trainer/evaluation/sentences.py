"""The verdict in sentences that need no statistics, in English and Portuguese."""

from collections.abc import Iterator, Mapping

from command.languages import Language, number, percent, sentences, signed
from trainer.evaluation.schema import Evaluation, Group, Kind, Paired


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
        yield texts["cut"].format(titles=number(num_cut, language))
    if num_known := sum(title.has_trained_text for title in evaluation.titles):
        yield texts["same_text"].format(titles=number(num_known, language))
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
    return texts[f"{kind}_whole"].format(titles=number(num, language), **shares)


def _words_shared(seen: Group, language: Language) -> str:
    score, texts = seen.scores["rouge_l"], _texts(language)
    text = texts["words"].format(
        before=number(score.before, language, digits=2), after=number(score.after, language, digits=2)
    )
    if score.low is None or score.high is None:
        return f"{text}."
    low, high = (signed(end, language, digits=2) for end in (score.low, score.high))
    return f"{text}{texts['words_interval'].format(low=low, high=high)}"


def interval(score: Paired, language: Language, *, digits: int, is_share: bool) -> str:
    """The difference and its 95 % interval; without an interval, only the difference.

    >>> interval(Paired(0.1, 0.9, 0.75, 0.85, "bca"), "en", digits=2, is_share=False)
    '+0.80 (+0.75 to +0.85)'
    """
    show = _points if is_share else signed
    difference = show(score.difference, language, digits=digits)
    if score.low is None or score.high is None:
        return difference
    to = _texts(language)["to"]
    low, high = (show(end, language, digits=digits) for end in (score.low, score.high))
    return f"{difference} ({low} {to} {high})"


def _points(difference: float, language: Language, *, digits: int) -> str:
    """A difference of shares, in points of a hundred."""
    return signed(100 * difference, language, digits=digits)


def _texts(language: Language) -> Mapping[str, str]:
    return sentences(__package__, language)
