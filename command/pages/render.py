"""HTML pages from Jinja2 templates, in which every value is escaped unless it is HTML already.

Import this only where a page is made: jinja2 comes with the extras `spark` and `train`, and executors do not have it.
"""

import unicodedata
from functools import lru_cache
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from command.quantities import format_bytes

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
        "number": number,
        "percent": percent,
        "size": size,
        "amount": amount,
        "share": share,
    }
    return environment.get_template(template).render(values)


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


def number(value: float) -> Markup:
    """A number for people, which keeps its exact value for programs.

    >>> number(1390403)
    Markup('<data value="1390403">1,390,403</data>')
    """
    return _data(value, f"{value:,}")


def share(part: int, whole: int) -> float:
    """The part as a share of one; 0 of nothing."""
    return part / whole if whole else 0.0


def percent(part: int, whole: int) -> Markup:
    """A share as a percentage. Only nothing is shown as 0 %, and only the whole as 100 %.

    >>> percent(1, 4), percent(1, 100_000)
    (Markup('<data value="0.25">25.0 %</data>'), Markup('<data value="1e-05">&lt; 0.1 %</data>'))
    """
    value = share(part, whole)
    if 0 < value < 0.001:
        return _data(value, "< 0.1 %")
    if 0.999 < value < 1:
        return _data(value, "> 99.9 %")
    return _data(value, f"{value * 100:.1f} %")


def size(num_bytes: int) -> Markup:
    """A number of bytes in a fitting unit.

    >>> size(1803000000)
    Markup('<data value="1803000000">1.8 GB</data>')
    """
    return _data(num_bytes, format_bytes(num_bytes))


def amount(count: int, noun: str, *, plural: str = "") -> Markup:
    """A number of things; the plural ends in s where none is given."""
    return Markup("{} {}").format(number(count), noun if count == 1 else plural or noun + "s")


def _data(value: float, text: str) -> Markup:
    return Markup('<data value="{!r}">{}</data>').format(value, text)
