"""The languages that pages speak: their sentences, and numbers as each of them writes them."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

Language = Literal["en", "pt"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "pt")


@cache
def sentences(package: str, language: Language) -> Mapping[str, Any]:
    """The texts in one language of the file sentences.toml that lies in the folder of this Python package."""
    return tomllib.loads((files(package) / "sentences.toml").read_text(encoding="utf-8"))[language]


def number(value: float, language: Language, *, digits: int = 0) -> str:
    """A number with so many decimals.

    >>> number(1234.5, "en", digits=1), number(1234.5, "pt", digits=1)
    ('1,234.5', '1.234,5')
    """
    return localized(f"{value:,.{digits}f}", language)


def signed(value: float, language: Language, *, digits: int) -> str:
    """A difference: with its sign, unless it is shown as 0."""
    text = f"{value:+,.{digits}f}"
    return localized(text[1:] if not text.strip("+-0.,") else text.replace("-", "\N{MINUS SIGN}"), language)


def percent(share: float, language: Language) -> str:
    """A share as a percentage. Only nothing is 0 %, and only the whole 100 %.

    >>> percent(0.375, "en"), percent(1, "pt"), percent(0.99999, "en")
    ('37.5%', '100%', '> 99.9%')
    """
    if 0 < share < 0.0005 or 0.9995 < share < 1:
        return localized("< 0.1%" if share < 0.5 else "> 99.9%", language)
    return localized(f"{share:.0%}" if share in (0, 1) else f"{share:.1%}", language)


def localized(text: str, language: Language) -> str:
    """A number's English text as the language writes it: Portuguese has the decimal comma."""
    return text if language == "en" else text.translate(str.maketrans(",.", ".,"))
