"""Facts that lie in signs: `3'6"`, `-5`, `10-15`; and all signs. A profile that removes signs changes the facts."""

import unicodedata
from collections import Counter
from functools import cache
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from contract.text.clean import clean, shown_texts
from contract.text.profiles import PROFILES
from spark_jobs.counts.traits import character_counts


class Fact(NamedTuple):
    """A kind of facts: a pattern of RE2 that finds them, and one that cleaning may change."""

    pattern: str
    example: str


FACTS: Final = {
    "feet and inches": Fact(r"""[0-9] ?(?:['’′] ?[0-9]|["”″])""", """3'6\""""),
    "negative numbers": Fact(r"(?:^|[ (:;=])[-−–][0-9]", "-5"),
    "degrees": Fact(r"[0-9] ?°", "5 °C"),
    "ranges": Fact(r"[0-9][-‐‑‒–—−][0-9]", "10-15"),
    "fractions": Fact(r"[0-9][/⁄][0-9]", "1/2"),
    "names with signs": Fact(r"\b[A-Za-z](?:\+\+|#)|[0-9A-Za-z]\+(?: |$)", "C++"),
    "percentages": Fact(r"[0-9] ?%", "50%"),
    "dimensions": Fact(r"[0-9] ?× ?[0-9]", "3×4"),
    "tolerances": Fact(r"± ?[0-9]", "±0,5"),
    "comparisons": Fact(r"[<>≤≥] ?[0-9]", "<5 mg"),
    "approximations": Fact(r"[~≈≃∼] ?[0-9]", "~30 cm"),
    "names joined by &": Fact(r"[0-9A-Za-z] ?& ?[0-9A-Za-z]", "AT&T"),
    "prices": Fact(r"[$€£¥₹] ?[0-9]|[0-9] ?[€£¥₹]", "$5"),
}
_ANY: Final = "|".join(fact.pattern for fact in FACTS.values())


def texts_of_records(titles: pa.StringArray, contents: pa.StringArray) -> pa.StringArray:
    """Title and content of each record in one text, as a browser shows them. About 6 us a record."""
    return pc.binary_join_element_wise(shown_texts(titles), shown_texts(contents), " ")


def count_facts(texts: pa.StringArray) -> Counter[str]:
    """The number of texts with each kind of facts. About 10 us a text of 600 bytes."""
    some = texts.filter(pc.match_substring_regex(texts, _ANY))
    found = {name: pc.match_substring_regex(some, fact.pattern).true_count for name, fact in FACTS.items()}
    return Counter({name: number for name, number in found.items() if number})


def count_signs(texts: pa.StringArray) -> Counter[str]:
    """How often each sign occurs: punctuation and symbols, which a profile may remove."""
    return Counter({character: number for character, number in character_counts(texts).items() if _is_sign(character)})


@cache
def _is_sign(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


@cache
def fate_of(sign: str, profile: str) -> str:
    """What this profile makes of a sign between two numbers: the sign itself where it stays.

    >>> [fate_of(sign, "seed") for sign in ",-'"], fate_of("–", "natural")
    ([',', ' ', ''], '-')
    """
    return clean(f"1{sign}2", PROFILES[profile])[1:-1]


@cache
def profiles_that_keep(name: str) -> tuple[str, ...]:
    """The names of the profiles that leave facts of this kind as they are.

    >>> profiles_that_keep("ranges")
    ('natural',)
    """
    example = FACTS[name].example
    return tuple(profile.name for profile in PROFILES.values() if clean(example, profile) == example)
