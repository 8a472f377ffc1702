"""An evaluation as one HTML file. Texts of the catalogue and of the model stay texts, and only our script may run."""

import json
from collections.abc import Sequence
from functools import partial
from importlib.resources import files

import msgspec
from markupsafe import Markup

from command.languages import LANGUAGES
from command.pages.both import Both, number_of, percent_of
from command.pages.render import render_bilingual, visible
from command.terminal import printable
from trainer.evaluation.schema import SCORES, Evaluation, Group, Title
from trainer.evaluation.sentences import evidence, headline, interval
from trainer.evaluation.summary import comes_back
from trainer.evaluation.table import SHARES, digits_of
from trainer.lookup.support import supported_spans


def page(evaluation: Evaluation) -> str:
    """The text of evaluation.html: about 10 kB, and 8 kB a title."""
    return render_bilingual(
        __package__,
        "page.html",
        script=(files(__package__) / "page.js").read_text(encoding="utf-8"),
        evaluation=evaluation,
        run=printable(evaluation.run),  # where no markup can be
        headline=Both.of(lambda language: headline(evaluation, language)),
        evidence=[Both(*texts) for texts in zip(*(evidence(evaluation, each) for each in LANGUAGES), strict=True)],
        scores=_scores,
        row=_row,
        percent=percent_of,
        two_digits=partial(number_of, digits=2),
        pairs=zip,
        marked=marked,
        supported=supported_spans,
        comes_back=comes_back,
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


def _scores(group: Group) -> list[tuple[str, Both, Both, Both, Both | None]]:
    """Rows of the table of scores: name, before, after, difference, and its interval if there is one."""
    rows = []
    for name in SCORES:
        if not (score := group.scores.get(name)):
            continue
        is_share = name in SHARES
        digits = digits_of(name, score.difference)
        before, after = (
            percent_of(value) if is_share else number_of(value, digits_of(name, value))
            for value in (score.before, score.after)
        )
        texts = [interval(score, each, digits=digits, is_share=is_share) for each in LANGUAGES]
        heads, _, _ = zip(*(text.partition(" (") for text in texts), strict=True)
        tails = [text.partition(" (")[2].removesuffix(")") for text in texts]
        rows.append((name, before, after, Both(*heads), Both(*tails) if tails[0] else None))
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
