"""Titles as people mistype them: one slip each, of six kinds."""

import random
from collections.abc import Callable
from typing import Final

_ROWS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LEAST_WORDS: Final = 3  # of a title that loses a word or has one out of place


def _beside(letter: str) -> str:
    """The letters whose keys touch this one's."""
    for number, row in enumerate(_ROWS):
        if (place := row.find(letter.lower())) >= 0:
            around = row[max(0, place - 1) : place] + row[place + 1 : place + 2]
            for other in _ROWS[max(0, number - 1) : number] + _ROWS[number + 1 : number + 2]:
                around += other[max(0, place - 1) : place + 2]
            return around.upper() if letter.isupper() else around
    return ""


def _letters(title: str) -> list[int]:
    return [place for place, character in enumerate(title) if character.isalpha()]


def _dropped(title: str, draw: random.Random) -> str | None:
    places = _letters(title)
    place = draw.choice(places) if places else 0
    return title[:place] + title[place + 1 :] if places else None


def _doubled(title: str, draw: random.Random) -> str | None:
    places = _letters(title)
    place = draw.choice(places) if places else 0
    return title[: place + 1] + title[place:] if places else None


def _swapped(title: str, draw: random.Random) -> str | None:
    letters = set(_letters(title))
    places = [place for place in letters if place + 1 in letters and title[place] != title[place + 1]]
    if not places:
        return None
    place = draw.choice(sorted(places))
    return title[:place] + title[place + 1] + title[place] + title[place + 2 :]


def _wrong_key(title: str, draw: random.Random) -> str | None:
    places = [place for place in _letters(title) if _beside(title[place])]
    if not places:
        return None
    place = draw.choice(places)
    return title[:place] + draw.choice(_beside(title[place])) + title[place + 1 :]


def _word_missing(title: str, draw: random.Random) -> str | None:
    words = title.split()
    if len(words) < _LEAST_WORDS:
        return None
    del words[draw.randrange(len(words))]
    return " ".join(words)


def _word_out_of_place(title: str, draw: random.Random) -> str | None:
    words = title.split()
    if len(words) < _LEAST_WORDS:
        return None
    word = words.pop(draw.randrange(len(words)))
    words.insert(draw.randrange(len(words) + 1), word)
    return " ".join(words)


KINDS: Final[dict[str, Callable[[str, random.Random], str | None]]] = {
    "letter dropped": _dropped,
    "letter doubled": _doubled,
    "letters swapped": _swapped,
    "wrong key": _wrong_key,
    "word missing": _word_missing,
    "word out of place": _word_out_of_place,
}


def mistyped(title: str, kind: str, draw: random.Random) -> str | None:
    """The title with one slip of this kind at a random place; None where it has no such place."""
    typed = KINDS[kind](title, draw)
    return typed if typed and typed != title else None
