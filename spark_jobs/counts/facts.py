"""Facts that lie in signs: `3'6"`, `-5`, `10-15`. A profile that removes the signs changes the facts."""

import re
from collections import Counter
from functools import cache
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from contract.text.clean import clean, shown_texts
from contract.text.profiles import PROFILES


class Fact(NamedTuple):
    """A kind of facts: a pattern that finds them, the same to RE2 and to `re`, and one that cleaning may change."""

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
}
_ANY: Final = "|".join(fact.pattern for fact in FACTS.values())
_PATTERNS: Final = {name: re.compile(fact.pattern, re.ASCII) for name, fact in FACTS.items()}


def count_facts(titles: pa.StringArray, contents: pa.StringArray) -> Counter[str]:
    """The number of records with each kind of facts, in the raw title or the raw content. About 8 us a record."""
    texts = pc.binary_join_element_wise(shown_texts(titles), shown_texts(contents), " ")
    some = texts.filter(pc.match_substring_regex(texts, _ANY)).to_pylist()
    found = {name: sum(pattern.search(text) is not None for text in some) for name, pattern in _PATTERNS.items()}
    return Counter({name: number for name, number in found.items() if number})


@cache
def profiles_that_keep(name: str) -> tuple[str, ...]:
    """The names of the profiles that leave facts of this kind as they are.

    >>> profiles_that_keep("ranges")
    ('natural',)
    """
    example = FACTS[name].example
    return tuple(profile.name for profile in PROFILES.values() if clean(example, profile) == example)
