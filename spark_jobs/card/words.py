"""Names and meanings in Portuguese, for what is counted and described in English."""

import html
import re
import tomllib
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Final

from command.languages import Language
from spark_jobs.counts.traits import OTHER_DECIMAL, OTHER_HEX

_LETTER: Final = re.compile(r"latin (small|capital) letter (\w+)(?: with (.+))?")
_CASES: Final = {"small": "minúsculo", "capital": "maiúsculo"}


@cache
def portuguese() -> dict[str, dict[str, str]]:
    """All tables of portuguese.toml: kinds of names, and in each the Portuguese name for each name."""
    return tomllib.loads((files(__package__) / "portuguese.toml").read_text(encoding="utf-8"))


def meaning_of(entity: str, language: Language = "en") -> str:
    """The characters that an entity stands for, and their names."""
    if entity in (OTHER_DECIMAL, OTHER_HEX):
        return _name("any other number", language)
    characters = html.unescape(entity)
    names = ", ".join(name_of(character, language) for character in characters)
    return names if characters.isspace() else f"{characters} {names or _name('nothing', language)}".strip()


def name_of(character: str, language: Language = "en") -> str:
    """The name of a character in lower case: in English that of Unicode.

    >>> name_of("–"), name_of("–", "pt"), name_of("é", "pt")
    ('en dash', 'meia-risca', 'e minúsculo com acento agudo')
    """
    return _name(unicodedata.name(character, "no character").lower(), language)


def _name(name: str, language: Language) -> str:
    return name if language == "en" else portuguese()["characters"].get(name) or _latin_letter(name) or name


def _latin_letter(name: str) -> str | None:
    """The Portuguese name of a Latin letter with at most one mark; None where it is another character."""
    marks = portuguese()["marks"]
    if not (found := _LETTER.fullmatch(name)) or (found[3] and found[3] not in marks):
        return None
    letter = found[2].upper() if found[1] == "capital" else found[2]
    return f"{letter} {_CASES[found[1]]}" + (f" com {marks[found[3]]}" if found[3] else "")
