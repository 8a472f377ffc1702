"""Profiles of cleaning: data that say what becomes of each character, and which records are filtered by default.

A new profile is an entry in _ROWS, and the help texts that list it.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from contract.errors import unknown_name

QUOTES: Final = "'\"`´‘’“”‚„«»‹›"
PRIMES: Final = "\u2032\u2033\u2034\u2035\u2036\u2037\u2057"
JOINERS: Final = "\u200c\u200d"  # every profile keeps them within words of the scripts that need them
# Marks that end or divide sentences: Han and Kana, Devanagari and its sisters, Arabic, Spanish, Armenian, Ethiopic,
# Khmer, Myanmar, Tibetan.
SENTENCE_MARKS: Final = "。，、；：！？．｡､।॥،؛؟۔¿¡։՝՜՞።፣፤፥፦፧។៕၊။།༎"
# Signs of facts that are in no category of their own, and those of other scripts: brackets, full-width forms.
OTHER_SIGNS: Final = "°·§¶†‡‰‱※©®™℠℗℃℉№℮⌀・〜「」『』【】〔〕《》〈〉！＂＃％＆＇（）＊，－．／：；？＠［］＿｛｝"


@dataclass(frozen=True)
class Profile:
    """Which characters survive cleaning, besides letters, marks, numbers, joiners within words and blanks.

    A character is looked up in `replace`, then in `delete` (it vanishes, and its neighbours join), then in `keep` and
    `keep_categories`; any other becomes a blank. Where HTML would read more in a `&` or `<`, a blank follows it.
    """

    name: str
    keep: str
    keep_categories: tuple[str, ...] = ()  # of Unicode, such as "Sm"; of characters beyond ASCII
    delete: str = ""
    replace: tuple[tuple[str, str], ...] = ()  # (any of these characters, becomes this text)
    filters: Mapping[str, Any] = field(default_factory=dict, hash=False)  # settings of `vitrine prepare`, by name
    edition: int = 1  # grows when the characters that stay change, so that nothing is appended to texts of before

    def __post_init__(self) -> None:
        for characters, text in self.replace:
            for character in characters:
                if not character.isascii() and len(text.encode()) > len(character.encode()):
                    raise ValueError(f"{text!r} takes more bytes than {character!r}, which it would replace")


_ROWS: Final = (
    Profile(name="seed", delete=QUOTES + PRIMES, keep=",."),
    Profile(
        name="natural",
        # A backslash stays in no profile: cleaned again, what follows it could read as an escape.
        keep="".join(sorted(set(string.punctuation) - set("`\\"))) + SENTENCE_MARKS + OTHER_SIGNS,
        keep_categories=("Sm", "Sc"),  # mathematics and currencies
        replace=(
            ("`´‘’‚‹›\u2032\u2035", "'"),
            ("“”„«»\u2033\u2036", '"'),
            ("‐‑‒–—―−", "-"),
            ("…", "..."),
            ("•", ","),
        ),
        filters={"drop_repeated_titles": True, "drop_repeated_phrases": True},
        edition=2,
    ),
)

PROFILES: Final = {profile.name: profile for profile in _ROWS}
SEED: Final = PROFILES["seed"]
NATURAL: Final = PROFILES["natural"]


def find_profile(name: str) -> Profile:
    """The profile of this name; UserError with the nearest known name otherwise."""
    if name not in PROFILES:
        raise unknown_name("text profile", name, PROFILES)
    return PROFILES[name]
