"""HTML pages from Jinja2 templates, in which every value is escaped unless it is HTML already.

Import this only where a page is made: jinja2 comes with the extras `spark` and `train`, and executors do not have it.
"""

import base64
import hashlib
import unicodedata
from functools import lru_cache, partial
from importlib.resources import files
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from command.pages.both import Both, number_of, percent_of, said, share, size_of

# Controls, formats (direction marks among them), halves of surrogate pairs, private and unassigned code points, line
# separators: a browser would show nothing for them, or show their neighbours in another order.
_INVISIBLE: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def render(package: str, template: str, **values: Any) -> str:
    """The page that a template makes of these values. The template lies in the folder of this Python package.

    It can include the files of that folder, and `theme.css`: colours, type, sections and tables of all pages.
    Values are escaped whatever the template's name ends in; a name that has no value is an error.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader(__package__, "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "outside": outside,
        "number": number_of,
        "percent": percent_of,
        "size": size_of,
        "share": share,
    }
    return environment.get_template(template).render(values)


def render_bilingual(package: str, template: str, *, script: str = "", **values: Any) -> str:
    """The page that a template makes which extends `bilingual.html`: one file, in English and in Portuguese.

    A template says texts as `both(english, portuguese)`, and as `say(name)` sentences of the package's sentences.toml.
    The script is our own, as text. It runs before the one that chooses the language, and no other script can run.
    """
    script += (files(__package__) / "languages.js").read_text(encoding="utf-8")
    return render(
        package,
        template,
        both=Both,
        say=partial(said, package),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **values,
    )


def outside(text: str) -> Markup:
    """A text from outside as HTML: its writing direction stays inside it, invisible characters become code points.

    >>> outside("<b>")
    Markup('<bdi>&lt;b&gt;</bdi>')
    """
    return Markup("<bdi>{}</bdi>").format(visible(text))


def visible(text: str) -> Markup:
    """The text as HTML, with the code point of each invisible character in its stead."""
    return Markup("".join(map(_visible_character, text)))  # the joined pieces are HTML


@lru_cache(maxsize=10_000)
def _visible_character(character: str) -> str:
    """A character as HTML; a plain text, because joining a Markup for each took half of the time of a page."""
    if character not in "\n\t" and unicodedata.category(character) in _INVISIBLE:
        return f'<span class="cp">U+{ord(character):04X}</span>'
    return str(escape(character))
