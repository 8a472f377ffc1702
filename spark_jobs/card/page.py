"""The data card as one HTML file: no network, no script but our own, and nothing from the data that is not escaped."""

import json

from markupsafe import Markup

from command.pages.both import TAGS, Both
from command.pages.render import outside, render_bilingual, visible
from spark_jobs.card.changes import changes
from spark_jobs.card.plots import plot_of
from spark_jobs.card.schema import Card
from spark_jobs.card.words import meaning_of, name_of, portuguese


def card_html(card: Card) -> str:
    """The text of card.html, in English and Portuguese."""
    return render_bilingual(
        __package__,
        "page.html",
        card=card,
        plot_of=plot_of,
        marked=marked,
        as_json=json.dumps,
        languages=TAGS,
        translated=_translated,
        meaning=lambda entity: Both.of(lambda language: outside(meaning_of(entity, language))),
        name=lambda sign: Both.of(lambda language: outside(name_of(sign, language))),
    )


def marked(before: str, after: str, *, is_cut: bool) -> tuple[Markup, Markup]:
    """Both texts as HTML, with what was removed marked in the first and what was inserted in the second.

    Where the first text was cut, the second ends with what became of its last piece.
    """
    pieces = changes(before, after)
    if is_cut and pieces and not pieces[-1].is_same:
        pieces[-1] = pieces[-1]._replace(after="")
    old = [visible(piece.before) if piece.is_same else _tagged("del", piece.before) for piece in pieces]
    new = [visible(piece.after) if piece.is_same else _tagged("ins", piece.after) for piece in pieces]
    return Markup("<bdi>{}</bdi>").format(Markup("").join(old)), Markup("<bdi>{}</bdi>").format(Markup("").join(new))


def _translated(kind: str, name: str, meaning: str = "") -> Both:
    """The English meaning of a name, or the name itself, and the Portuguese one where there is one."""
    return Both(outside(meaning or name), outside(portuguese()[kind].get(name) or meaning or name))


def _tagged(tag: str, text: str) -> Markup:
    return Markup("<{0}>{1}</{0}>").format(tag, visible(text)) if text else Markup("")
