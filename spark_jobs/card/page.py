"""The data card as one HTML file: no script, no network, and nothing from the data that is not escaped."""

import json

from markupsafe import Markup

from command.pages.render import render, visible
from spark_jobs.card.changes import changes
from spark_jobs.card.plots import plot_of
from spark_jobs.card.schema import Card


def card_html(card: Card) -> str:
    """The text of card.html."""
    return render("spark_jobs.card", "page.html", card=card, plot_of=plot_of, marked=marked, as_json=json.dumps)


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


def _tagged(tag: str, text: str) -> Markup:
    return Markup("<{0}>{1}</{0}>").format(tag, visible(text)) if text else Markup("")
