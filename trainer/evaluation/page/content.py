"""An evaluation as one HTML file. Texts of the catalogue and of the model stay texts, and only our script may run."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import msgspec
from markupsafe import Markup

from command.pages.render import render, visible
from command.terminal import printable
from trainer.evaluation.schema import SCORES, Evaluation, Group, Title
from trainer.evaluation.sentences import LANGUAGES, evidence, headline, interval, number, percent
from trainer.evaluation.summary import comes_back
from trainer.evaluation.table import SHARES, digits_of
from trainer.lookup.support import supported_spans

_TAGS: Final = {"en": "en", "pt": "pt-BR"}  # of languages, as HTML writes them


def page(evaluation: Evaluation) -> str:
    """The text of evaluation.html: about 10 kB, and 8 kB a title."""
    script = (files(__package__) / "page.js").read_text(encoding="utf-8")
    return render(
        __package__,
        "page.html",
        evaluation=evaluation,
        run=printable(evaluation.run),  # where no markup can be
        headline=_both([headline(evaluation, language) for language in LANGUAGES]),
        evidence=[_both(texts) for texts in zip(*(evidence(evaluation, each) for each in LANGUAGES), strict=True)],
        scores=_scores,
        row=_row,
        both=lambda *texts: _both(texts),
        decimal=_number,
        percent=_percent,
        pairs=zip,
        marked=marked,
        supported=supported_spans,
        comes_back=comes_back,
        script=Markup(script),  # our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        island=json_island(evaluation),
    )


def json_island(evaluation: Evaluation) -> Markup:
    """The evaluation as JSON that ends no script element and begins no comment, whatever its texts are. ASCII."""
    text = json.dumps(msgspec.to_builtins(evaluation))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # without any character of HTML


def marked(text: str, spans: Sequence[tuple[int, int]]) -> Markup:
    """A text as HTML, with these spans of characters marked: they are in order and do not overlap."""
    pieces, end = [], 0
    for first, stop in spans:
        pieces += [visible(text[end:first]), Markup("<mark>{}</mark>").format(visible(text[first:stop]))]
        end = stop
    return Markup("<bdi>{}</bdi>").format(Markup("").join([*pieces, visible(text[end:])]))


def _both(texts: Sequence[str]) -> Markup:
    """A text in both languages, of which the page shows one."""
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(_TAGS[language], text)
        for language, text in zip(LANGUAGES, texts, strict=True)
    )


def _number(value: float, digits: int = 2) -> Markup:
    return _same([number(value, digits, language) for language in LANGUAGES])


def _percent(value: float) -> Markup:
    return _same([percent(value, language) for language in LANGUAGES])


def _same(texts: Sequence[str]) -> Markup:
    """A text that may be the same in all languages."""
    return Markup("{}").format(texts[0]) if len(set(texts)) == 1 else _both(texts)


def _scores(group: Group) -> list[tuple[str, Markup, Markup, Markup, Markup | None]]:
    """Rows of the table of scores: name, before, after, difference, and its interval if there is one."""
    rows = []
    for name in SCORES:
        if not (score := group.scores.get(name)):
            continue
        is_share = name in SHARES
        digits = digits_of(name, score.difference)
        before, after = (
            _percent(value) if is_share else _number(value, digits_of(name, value))
            for value in (score.before, score.after)
        )
        texts = [interval(score, each, digits=digits, is_share=is_share) for each in LANGUAGES]
        heads, _, _ = zip(*(text.partition(" (") for text in texts), strict=True)
        tails = [text.partition(" (")[2].removesuffix(")") for text in texts]
        rows.append((name, before, after, _same(heads), _same(tails) if tails[0] else None))
    return rows


def _row(number_of_title: int, title: Title) -> dict[str, str]:
    """The values by which a title is sorted and filtered."""
    return {
        "kind": title.kind,
        "order": str(number_of_title),
        "before": f"{title.before.rouge_l:.4f}",
        "after": f"{title.after.rouge_l:.4f}",
        "gain": f"{title.after.rouge_l - title.before.rouge_l:.4f}",
        "right": f"{title.after.right / max(1, title.truth_tokens):.4f}",
    }
