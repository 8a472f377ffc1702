"""What the command prints: the verdict, the means, and a few answers beside the truth."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from command.languages import number, percent
from command.terminal import WIDTH, printable, wrap
from trainer.evaluation.schema import SCORES, Evaluation, Group, Kind
from trainer.evaluation.sentences import evidence, headline, interval

SHARES: Final = ("whole", "first_32", "first_8", "ends", "repetition")
_DIGITS: Final = {"rouge_l": 2, "chrf": 2, "loss": 2}
_NAMES: Final = {
    "whole": "whole text back",
    "first_32": "first 32 tokens back",
    "first_8": "first 8 tokens back",
    "rouge_l": "ROUGE-L",
    "chrf": "chrF",
    "ends": "ends by itself",
    "perplexity": "perplexity",
    "loss": "loss a token",
    "repetition": "repeated 4-word runs",
    "tokens": "tokens an answer",
}
_EXAMPLES: Final[tuple[tuple[Kind, int], ...]] = (("seen", 2), ("unseen", 1))
_MOST_LINES: Final = 3


def table(evaluation: Evaluation) -> str:
    """The evaluation for a person to read on a terminal of 80 columns."""
    lines = [headline(evaluation, "en")]
    lines += chain.from_iterable(wrap(each, WIDTH, max_lines=9) for each in evidence(evaluation, "en"))
    for kind, of in (("seen", evaluation.seen), ("unseen", evaluation.unseen)):
        if of:
            lines += _means(kind, of)
    for kind, num in _EXAMPLES:
        lines += chain.from_iterable(_examples(evaluation, kind, num))
    return "\n".join(lines)


def digits_of(name: str, *values: float) -> int:
    """The decimals with which values of a score are shown."""
    return 0 if max(map(abs, values)) >= 100 else _DIGITS.get(name, 1)


def _means(kind: str, of: Group) -> Iterator[str]:
    num = f"{of.titles:,} {kind} title{'' if of.titles == 1 else 's'}"
    yield f"\n{num:<24}{'before':>9}{'after':>9}  difference (95% interval)"
    for name in SCORES:
        if score := of.scores.get(name):
            is_share = name in SHARES
            before, after = (
                percent(value, "en") if is_share else number(value, "en", digits=digits_of(name, value))
                for value in (score.before, score.after)
            )
            change = interval(score, "en", digits=digits_of(name, score.difference), is_share=is_share)
            yield f"  {_NAMES[name]:<22}{before:>9}{after:>9}  {change}"


def _examples(evaluation: Evaluation, kind: Kind, num: int) -> Iterator[list[str]]:
    for each in [title for title in evaluation.titles if title.kind == kind][:num]:
        yield [
            f"\n[{each.kind}] {printable(each.title)}",
            *_text("true", each.truth),
            *_text("before", each.before.text),
            *_text("after", each.after.text),
            f"  source   uid {printable(each.source.uid)}, row {each.source.row:,} of {printable(each.source.shard)}",
        ]


def _text(label: str, text: str) -> list[str]:
    lines = wrap(printable(text), WIDTH - 11, max_lines=_MOST_LINES)
    return [f"  {label if not number else '':<9}{line}" for number, line in enumerate(lines)]
