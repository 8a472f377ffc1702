"""Texts in both languages as HTML: a page holds each of them twice, and shows one (languages.css)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

from command.languages import LANGUAGES, Language, number, percent, sentences
from command.quantities import format_bytes

TAGS: Final = {"en": "en", "pt": "pt-BR"}  # of languages, as HTML writes them


@dataclass(frozen=True)
class Both:
    """A text in both languages. It is escaped unless it is HTML already.

    >>> escape(Both("and", "e")), escape(Both("<1", "<1"))
    (Markup('<span lang="en">and</span><span lang="pt-BR">e</span>'), Markup('&lt;1'))
    """

    en: str
    pt: str

    @classmethod
    def of(cls, make: Callable[[Language], str]) -> "Both":
        """What this function makes for each language."""
        return cls(*map(make, LANGUAGES))

    def __html__(self) -> str:
        parts = {TAGS[language]: escape(self.in_language(language)) for language in LANGUAGES}
        if len(set(parts.values())) == 1:
            return parts["en"]
        return Markup("").join(Markup('<span lang="{}">{}</span>').format(*part) for part in parts.items())

    def in_language(self, language: Language) -> str:
        """The text in one language."""
        return self.en if language == "en" else self.pt


def said(package: str, name: str, num: int | None = None, **values: Any) -> Both:
    """A sentence of the package's sentences.toml, which is HTML, with these values, which are escaped.

    A sentence in two forms has one for one thing and one for any other number of things: `num`.
    """

    if num is not None:
        values["num"] = number_of(num)

    def make(language: Language) -> Markup:
        text = sentences(package, language)[name]
        form = text[0 if num == 1 else 1] if isinstance(text, list) else text
        return Markup(form).format(
            **{key: each.in_language(language) if isinstance(each, Both) else each for key, each in values.items()}
        )

    return Both.of(make)


def number_of(value: float, digits: int = 0) -> Both:
    """A number for people, which keeps its exact value for programs.

    >>> number_of(1390403).pt
    Markup('<data value="1390403">1.390.403</data>')
    """
    return _data(value, lambda language: number(value, language, digits=digits))


def share(part: float, whole: float) -> float:
    """The part as a share of one; 0 of nothing."""
    return part / whole if whole else 0.0


def percent_of(part: float, whole: float = 1) -> Both:
    """A share as a percentage.

    >>> percent_of(1, 4).en, percent_of(1, 100_000).pt
    (Markup('<data value="0.25">25.0%</data>'), Markup('<data value="1e-05">&lt; 0,1%</data>'))
    """
    value = share(part, whole)
    return _data(value, lambda language: percent(value, language))


def size_of(num_bytes: int) -> Both:
    """A number of bytes in a fitting unit.

    >>> size_of(1803000000).en
    Markup('<data value="1803000000">1.8 GB</data>')
    """
    return _data(num_bytes, lambda language: format_bytes(num_bytes, language))


def _data(value: float, write: Callable[[Language], str]) -> Both:
    return Both.of(lambda language: Markup('<data value="{}">{}</data>').format(value, write(language)))
