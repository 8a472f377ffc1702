"""Titles and descriptions grown from grammars: what a synthetic product is called and what is said of it.

A grammar is plain text. A name at the left margin opens a pool (`name+` adds to one that exists), its entries follow on
the same line or indented below, one a line or several between bars; `48..960` stands for all numbers of that range.
In an entry, `{slot}` is replaced by an entry of the pool `slot`, `{Slot}` by the same with a capital, and
`{other_slot}` by one that differs from the product's own. The slots named in the pool `fixed` are the product's own:
drawn once, so that its title and all its sentences agree on them.

Straight quotes are written here and typographic ones come out: what a product's text was before anybody damaged it.
Two marks are left for `synth_dirt`, which knows what became of them in the catalogue: `BREAK` between sentences
and `EDGE` where an inline tag, say around the name of a newspaper, began or ended.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import gcd

BREAK = "\x1e"
EDGE = "_"

_BRIEF_CHARS = 55  # contents up to here say one thing only
_PATIENCE = 200  # sentences in a row that were there already, before a content ends short of its length

Pools = Mapping[str, tuple[str, ...]]
Draw = Callable[[], float]  # each call the next number from 0 to below 1


@dataclass(frozen=True, eq=False)
class Kind:
    """One sort of product: its grammar, and what tells its products apart."""

    name: str
    pools: Pools
    mark: str  # "person" (who made it) or "code" (its model number)
    language: str = "en"

    def __post_init__(self) -> None:
        """Raise ValueError if a content of this kind could lack its mark: that no two are alike rests on it."""
        leads = self.pools["leads"] + self.pools["briefs"]
        if unmarked := [lead for lead in leads if "{mark}" not in lead]:
            raise ValueError(f"leads of {self.name} without {{mark}}: {unmarked}")


def parse_grammar(text: str, *, base: Pools) -> Pools:
    """The pools of `base`, replaced or extended by those of a grammar."""
    pools = dict(base)
    name = ""
    for line in filter(None, map(str.rstrip, text.splitlines())):
        if not line[0].isspace():
            name, _, line = line.partition(":")
            extended, name = name.endswith("+"), name.rstrip("+")
            pools[name] = pools[name] if extended else ()
        pools[name] += tuple(entry for part in line.split("|") for entry in _entries(part.strip()))
    return pools


def _entries(part: str) -> list[str]:
    if span := re.fullmatch(r"(\d+)\.\.(\d+)", part):
        return [str(number) for number in range(int(span[1]), int(span[2]) + 1)]
    part = re.sub(r'"([^"]*)"', "\u201c\\1\u201d", part.replace("''", "\u2033"))
    return [part.replace("'", "\u2019").replace("--", "\u2014").replace("...", "\u2026")] if part else []


class Product(dict[str, str]):
    """The facts of one product, each drawn when a text first asks for it."""

    def __init__(self, kind: Kind, random: Draw, *, mark: str) -> None:
        super().__init__(mark=mark)
        self.kind = kind
        self.pools = kind.pools
        self.fixed = kind.pools["fixed"]
        self.random = random
        self.latest: dict[str, str] = {}

    def pick(self, pool: str) -> str:
        """An entry of a pool with its slots filled, and hardly ever the same entry twice in a row."""
        entries = self.pools[pool]
        entry = entries[int(self.random() * len(entries))]
        if self.latest.get(pool) is entry:
            entry = entries[int(self.random() * len(entries))]
        self.latest[pool] = entry
        return entry.format_map(self) if "{" in entry else entry

    def become_another(self, random: Draw, *, mark: str) -> None:
        """Turn into a product of the same name and facts that is told apart by another mark."""
        self["mark"] = mark
        self.random = random

    def __missing__(self, slot: str) -> str:
        if slot in self.pools:
            value = self.pick(slot)
            if slot in self.fixed:
                self[slot] = value
            return value
        if slot.startswith("other_"):
            return self._other(slot.removeprefix("other_"))
        value = self[slot[0].lower() + slot[1:]]
        return value[0].upper() + value[1:]

    def _other(self, slot: str) -> str:
        own, value = self[slot], self.pick(slot)
        while value == own:
            value = self.pick(slot)
        return value


def write_title(product: Product, length: float) -> str:
    """A title of about `length` characters: the nearest of a few names, then extras as long as they bring it nearer."""
    names = (product.pick("titles") for _ in range(8 if length < 25 else 3))
    title = min(names, key=lambda name: abs(len(name) - length))
    misses = 0
    while misses < 2 and (room := length - len(title)) > 4:
        extra = min((product.pick("extras") for _ in range(3)), key=lambda extra: abs(len(extra) + 1 - room))
        if len(extra) + 1 < 2 * room and extra not in title:
            title += extra if extra[0] in ",:" else " " + extra
        else:
            misses += 1
    return _in_title_case(_with_articles(title, product.kind.language))


def write_content(product: Product, length: float) -> str:
    """A description of about `length` characters in which no sentence comes twice; `BREAK` lies between sentences.

    The lead, which holds the product's mark, comes first in three texts of four.
    """
    lead = product.pick("leads" if length > _BRIEF_CHARS else "briefs")
    sentences = {lead: None}  # a dict for its order
    room = length - len(lead)
    repeats = 0
    details = _in_some_order(product, "details")
    while room > 50 and repeats < _PATIENCE:
        sentence = next(details).format_map(product)
        repeats = repeats + 1 if sentence in sentences else 0
        room -= 0 if repeats else len(sentence) + 1
        sentences[sentence] = None
    for _ in range(4):
        if room <= 12:
            break
        sentence = product.pick("shorts")
        if len(sentence) + 1 < 2 * room and sentence not in sentences:
            sentences[sentence] = None
            room -= len(sentence) + 1
    ordered = [sentence[0].upper() + sentence[1:] for sentence in sentences]
    if product.random() < 0.25:
        ordered.insert(int(product.random() * len(ordered)), ordered.pop(0))
    return _with_articles(BREAK.join(ordered), product.kind.language)


def _in_some_order(product: Product, pool: str) -> Iterator[str]:
    """The entries of a pool for ever, none a second time before all have come."""
    entries = product.pools[pool]
    strides = _coprime_strides(len(entries))
    stride = strides[int(product.random() * len(strides))]
    place = int(product.random() * len(entries))
    while True:
        yield entries[place]
        place = (place + stride) % len(entries)


@cache
def _coprime_strides(size: int) -> tuple[int, ...]:
    return tuple(stride for stride in range(1, size) if gcd(stride, size) == 1)


_VOWEL = r"(?=[aeioAEIO8]|1[18]\b|u[^ns]|un[^i])(?!one\b|eu|Eu)"
_ARTICLE = re.compile(" a " + _VOWEL)
_FIRST_ARTICLE = re.compile(r"A (?<!\wA )" + _VOWEL)  # the letter first: four times faster than a word boundary
_SMALL_WORDS = "and|the|for|with|from|that|what|dos|das|com|para|und|der|die|des|les|une|los|las|por|una"
_LOWER_WORD = re.compile(f"(?<![\\w\u2019])(?!(?:{_SMALL_WORDS})\\b(?!-))[a-z\u00e0-\u00fe]\\w{{2,}}")


def _with_articles(text: str, language: str) -> str:
    """The text, if it is English, with `a` before a vowel as `an`."""
    return _FIRST_ARTICLE.sub("An ", _ARTICLE.sub(" an ", text)) if language == "en" else text


def _in_title_case(title: str) -> str:
    title = _LOWER_WORD.sub(lambda match: match[0].capitalize(), title)
    return title[0].upper() + title[1:]
