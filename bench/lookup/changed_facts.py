"""Answers with facts changed by rules: numbers, colours, names, units, negations, order; and what was changed."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from trainer.lookup.support import supported_spans

COLOURS: Final = "red blue green black white grey yellow orange pink brown navy amber silver beige teal purple".split()  # noqa: SIM905
UNITS: Final = "in cm mm inches feet oz ounces lbs kg g grams ml litres liters hours minutes pages years pieces".split()  # noqa: SIM905
NAMES: Final = ("Abernathy", "Quillon", "Zebulon", "Oswaldo", "Ingeborg")
NEGATIONS: Final = ("not", "never", "no", "without")

_APART: Final = 3  # words between two changes, at least
_ONE_WORD: Final = re.compile(r"[^\W\d]+(?:['’-][^\W\d]+)*|\w*\d+(?:[.,]\d+)*\w*")


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


def mistakes(answer: Answer, text: str) -> list[str]:
    """Changed words that are marked although the text does not support them, and others that are not marked."""
    is_marked = [False] * len(answer.text)
    for start, stop in supported_spans(answer.text, text):
        is_marked[start:stop] = [True] * (stop - start)
    problems, place = [], 0
    for word, is_changed in zip(answer.words, answer.is_changed, strict=True):
        letters = [is_marked[place + index] for index, character in enumerate(word) if character.isalnum()]
        if letters and (any(letters) if is_changed else not all(letters)):
            problems.append(f"{'marked' if is_changed else 'not marked'}: {word}")
        place += len(word) + 1
    return problems


def _replace(answer: Answer, draw: random.Random, fits: Callable[[str], bool], other: Callable[[str], str]) -> None:
    places = [place for place, word in enumerate(answer.words) if fits(_bare(word)) and _is_free(answer, place)]
    if places:
        place = draw.choice(places)
        word = answer.words[place]
        answer.words[place] = word.replace(_bare(word), other(_bare(word)), 1)
        answer.is_changed[place] = True


def _bare(word: str) -> str:
    return word.strip(".,;:!?()\"'")


def _is_free(answer: Answer, place: int) -> bool:
    """Whether it is one word, and none near it was changed: two words may be glued in descriptions."""
    near = answer.is_changed[max(0, place - _APART) : place + _APART + 1]
    return not any(near) and _ONE_WORD.fullmatch(_bare(answer.words[place])) is not None


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
        if word.lower() in NEGATIONS and _is_free(answer, place) and _is_free(answer, place + 1)
    ]
    if places:
        place = draw.choice(places)
        del answer.words[place], answer.is_changed[place]
        answer.is_changed[place] = True
    elif places := [place for place in range(1, len(answer.words)) if _is_free(answer, place)]:
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
        and _is_free(answer, place)
        and _is_free(answer, place + 1)
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
