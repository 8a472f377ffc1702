"""Profiles of cleaning: data that say what becomes of each character."""

from dataclasses import dataclass
from typing import Final

from contract.errors import unknown_name

QUOTES: Final = "'\"`´‘’“”‚„«»‹›"
PRIMES: Final = "\u2032\u2033\u2034\u2035\u2036\u2037\u2057"


@dataclass(frozen=True)
class Profile:
    """Which characters survive cleaning, beside letters, marks, numbers and blanks.

    A character is looked up in `replace`, then in `delete` (it vanishes, its neighbours join), then in `keep`;
    any other becomes a blank.
    """

    name: str
    keep: str
    delete: str = ""
    replace: tuple[tuple[str, str], ...] = ()  # (any of these characters, becomes this text)

    def __post_init__(self) -> None:
        for characters, text in self.replace:
            for character in characters:
                if not character.isascii() and len(text.encode()) > len(character.encode()):
                    raise ValueError(f"{text!r} takes more bytes than {character!r}, in whose place it would stand")


SEED: Final = Profile(name="seed", delete=QUOTES + PRIMES, keep=",.")

NATURAL: Final = Profile(
    name="natural",
    keep=",.;:!?'\"()&%/+-#$€£@°*=_",
    replace=(
        ("`´‘’‚‹›\u2032\u2035", "'"),
        ("“”„«»\u2033\u2036", '"'),
        ("‐‑‒–—―−", "-"),
        ("…", "..."),
        ("•·", ","),
        # A blank on either side, or the text that follows could read as an entity when cleaned again.
        ("&", " & "),
    ),
)

PROFILES: Final = {profile.name: profile for profile in (SEED, NATURAL)}


def find_profile(name: str) -> Profile:
    """The profile of this name; UserError with the nearest known name otherwise."""
    if name not in PROFILES:
        raise unknown_name("text profile", name, PROFILES)
    return PROFILES[name]
