"""Titles and descriptions of made-up products, drawn from a grammar.

They come out with typographic quotes, as a product's text was before anybody damaged it. Two marks are left for
`synth.dirt`, which decides what became of them in the catalogue: `BREAK` between sentences and `EDGE` where an inline
tag, say around the name of a newspaper, began or ended.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from math import gcd

from synth.kinds import Kind

BREAK = "\x1e"
EDGE = "_"

_BRIEF_CHARS = 55  # a description of up to this length is one sentence
_MAX_REPEATS = 200  # drawn sentences in a row that the description has already; then it stays shorter than asked for

Draw = Callable[[], float]  # each call gives the next number from 0 to below 1


class Draft(dict[str, str]):
    """The facts of one product by slot, each drawn when a sentence first asks for it."""

    def __init__(self, kind: Kind, random: Draw, *, mark: str) -> None:
        super().__init__(mark=mark)
        self.kind = kind
        self.pools = kind.pools
        self.fixed = kind.pools["fixed"]
        self.random = random
        self.latest: dict[str, str] = {}

    def pick(self, pool: str) -> str:
        """An entry of a pool with its slots filled; seldom the same entry twice in a row."""
        entries = self.pools[pool]
        entry = entries[int(self.random() * len(entries))]
        if self.latest.get(pool) is entry:
            entry = entries[int(self.random() * len(entries))]
        self.latest[pool] = entry
        return entry.format_map(self) if "{" in entry else entry

    def become_another(self, random: Draw, *, mark: str) -> None:
        """Keep all facts that are drawn, and take another mark: another product of the same title."""
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


def write_title(draft: Draft, length: float) -> str:
    """A title of about `length` characters: the nearest of a few names, then extras while they bring it nearer."""
    names = (draft.pick("titles") for _ in range(8 if length < 25 else 3))
    title = min(names, key=lambda name: abs(len(name) - length))
    misses = 0
    while misses < 2 and (room := length - len(title)) > 4:
        extra = min((draft.pick("extras") for _ in range(3)), key=lambda extra: abs(len(extra) + 1 - room))
        if len(extra) + 1 < 2 * room and extra not in title:
            title += extra if extra[0] in ",:" else " " + extra
        else:
            misses += 1
    return _in_title_case(_with_articles(title, draft.kind.language))


def write_content(draft: Draft, length: float) -> str:
    """A description of about `length` characters, `BREAK` between its sentences, none of which comes twice.

    The sentence that holds the product's mark comes first in three descriptions of four.
    """
    lead = draft.pick("leads" if length > _BRIEF_CHARS else "briefs")
    sentences = {lead: None}  # a dict for its order
    room = length - len(lead)
    repeats = 0
    details = _in_some_order(draft, "details")
    while room > 50 and repeats < _MAX_REPEATS:
        sentence = next(details).format_map(draft)
        repeats = repeats + 1 if sentence in sentences else 0
        room -= 0 if repeats else len(sentence) + 1
        sentences[sentence] = None
    for _ in range(4):
        if room <= 12:
            break
        sentence = draft.pick("shorts")
        if len(sentence) + 1 < 2 * room and sentence not in sentences:
            sentences[sentence] = None
            room -= len(sentence) + 1
    ordered = [sentence[0].upper() + sentence[1:] for sentence in sentences]
    if draft.random() < 0.25:
        ordered.insert(int(draft.random() * len(ordered)), ordered.pop(0))
    return _with_articles(BREAK.join(ordered), draft.kind.language)


def _in_some_order(draft: Draft, pool: str) -> Iterator[str]:
    """The entries of a pool, endlessly; none comes again before all others have come."""
    entries = draft.pools[pool]
    strides = _coprime_strides(len(entries))
    stride = strides[int(draft.random() * len(strides))]
    index = int(draft.random() * len(entries))
    while True:
        yield entries[index]
        index = (index + stride) % len(entries)


@cache
def _coprime_strides(size: int) -> tuple[int, ...]:
    return tuple(stride for stride in range(1, size) if gcd(stride, size) == 1)


_VOWEL = r"(?=[aeioAEIO8]|1[18]\b|u[^ns]|un[^i])(?!one\b|eu|Eu)"
_ARTICLE = re.compile(" a " + _VOWEL)
_FIRST_ARTICLE = re.compile(r"A (?<!\wA )" + _VOWEL)  # the letter first: four times faster than a word boundary
_SMALL_WORDS = "and|the|for|with|from|that|what|dos|das|com|para|und|der|die|des|les|une|los|las|por|una"
_LOWER_WORD = re.compile(f"(?<![\\w\u2019])(?!(?:{_SMALL_WORDS})\\b(?!-))[a-z\u00e0-\u00fe]\\w{{2,}}")


def _with_articles(text: str, language: str) -> str:
    """The text with `an` for `a` before a vowel, if it is English."""
    return _FIRST_ARTICLE.sub("An ", _ARTICLE.sub(" an ", text)) if language == "en" else text


def _in_title_case(title: str) -> str:
    title = _LOWER_WORD.sub(lambda match: match[0].capitalize(), title)
    return title[0].upper() + title[1:]
