"""Answers with facts changed by rules: numbers, colours, names, units, negations, order; and what was changed."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

COLOURS: Final = "red blue green black white grey yellow orange pink brown navy amber silver beige teal purple".split()  # noqa: SIM905
UNITS: Final = "in cm mm inches feet oz ounces lbs kg g grams ml litres liters hours minutes pages years pieces".split()  # noqa: SIM905
NAMES: Final = ("Abernathy", "Quillon", "Zebulon", "Oswaldo", "Ingeborg")
NEGATIONS: Final = ("not", "never", "no", "without")


@dataclass(frozen=True)
class Answer:
    """Words of an answer, and for each whether it was changed; a word before which `not` was taken out counts."""

    words: list[str]
    is_changed: list[bool]

    @property
    def text(self) -> str:
        """The answer."""
        return " ".join(self.words)


def changed(text: str, kind: str, draw: random.Random, *, num: int = 2) -> Answer | None:
    """The text with up to `num` facts of this kind changed; None where it has none."""
    answer = Answer(text.split(), [False] * len(text.split()))
    for _ in range(num):
        KINDS[kind](answer, draw)
    return answer if any(answer.is_changed) else None


def _replace(answer: Answer, draw: random.Random, fits: Callable[[str], bool], other: Callable[[str], str]) -> None:
    places = [place for place, word in enumerate(answer.words) if fits(_bare(word)) and not answer.is_changed[place]]
    if places:
        place = draw.choice(places)
        word = answer.words[place]
        answer.words[place] = word.replace(_bare(word), other(_bare(word)), 1)
        answer.is_changed[place] = True


def _bare(word: str) -> str:
    return word.strip(".,;:!?()\"'")


def _number(answer: Answer, draw: random.Random) -> None:
    def other(word: str) -> str:
        return re.sub(r"\d", lambda digit: str((int(digit[0]) + draw.randint(1, 9)) % 10), word)

    _replace(answer, draw, lambda word: any(map(str.isdecimal, word)), other)


def _one_of(known: list[str]) -> Callable[[Answer, random.Random], None]:
    def change(answer: Answer, draw: random.Random) -> None:
        def other(word: str) -> str:
            return draw.choice([each for each in known if each != word.lower()])

        _replace(answer, draw, lambda word: word.lower() in known, other)

    return change


def _name(answer: Answer, draw: random.Random) -> None:
    _replace(answer, draw, lambda word: bool(re.fullmatch(r"[A-Z][a-z]{2,}", word)), lambda _: draw.choice(NAMES))


def _negation(answer: Answer, draw: random.Random) -> None:
    places = [
        place
        for place, word in enumerate(answer.words[1:-1], 1)
        if word.lower() in NEGATIONS and not any(answer.is_changed[place - 1 : place + 2])
    ]
    if places:
        place = draw.choice(places)
        del answer.words[place], answer.is_changed[place]
        answer.is_changed[place] = True
    elif places := [
        place for place in range(1, len(answer.words)) if not any(answer.is_changed[place - 1 : place + 2])
    ]:
        place = draw.choice(places)
        answer.words.insert(place, draw.choice(NEGATIONS))
        answer.is_changed.insert(place, True)


def _order(answer: Answer, draw: random.Random) -> None:
    words = [_bare(word).lower() for word in answer.words]
    places = [
        place
        for place in range(len(words) - 1)
        if words[place]
        and words[place + 1]
        and words[place] != words[place + 1]
        and not any(answer.is_changed[max(0, place - 1) : place + 3])
    ]
    if places:
        place = draw.choice(places)
        answer.words[place : place + 2] = answer.words[place + 1], answer.words[place]
        answer.is_changed[place : place + 2] = True, True


KINDS: Final[dict[str, Callable[[Answer, random.Random], None]]] = {
    "numbers": _number,
    "colours": _one_of(COLOURS),
    "names": _name,
    "units": _one_of(UNITS),
    "negations": _negation,
    "swapped neighbours": _order,
}
