"""Traits of texts: entities, tags and classes of characters, counted over the bytes of a whole batch at once.

The number of distinct counts has a bound: entities are counted by a limited set of spellings, characters by class.
"""

import html.entities
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from contract.text.invisible import SELECTORS, VANISHING
from contract.text.joined import bytes_of
from contract.text.profiles import JOINERS, PRIMES, QUOTES

# Numeric entities below this code point are counted one by one: Latin, Greek, Cyrillic, Arabic, Hebrew, punctuation.
NUM_CODE_POINTS: Final = 0x3000
OTHER_DECIMAL: Final = "&#…;"
OTHER_HEX: Final = "&#x…;"

_PIECE: Final = 2**17  # bytes
_WINDOW: Final = 12  # bytes after an `&` that numpy searches; they hold nearly all entities with their `;`
_LONGEST: Final = 64  # bytes after an `&` that are searched at most; no name of an entity is longer than 32
_HEX: Final = re.compile(rb"#[xX]([0-9a-fA-F]+)")
_DECIMAL: Final = re.compile(rb"#([0-9]+)")
_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9]*;?")

_IS_LETTER: Final = np.array([chr(code).isalpha() and code < 128 for code in range(256)])
_MAY_BEGIN_ENTITY: Final = _IS_LETTER | (np.arange(256) == ord("#"))

_INVISIBLE: Final = re.compile(f"[{VANISHING}{SELECTORS}{JOINERS}]")
_ALL_ASCII: Final = bytes(range(128))
_SCRIPTS: Final = "Arabic Bengali Cyrillic Devanagari Greek Hangul Hebrew Hiragana Katakana Tamil Thai".split()  # noqa: SIM905
_OTHER_LETTERS: Final = "letters of other scripts"
_LETTERS: Final = {script.upper(): f"{script} letters" for script in _SCRIPTS} | {
    "LATIN": "Latin letters beyond ASCII",
    "CJK": "Chinese characters",
}
_OF_CATEGORY: Final = {
    "M": "combining marks",
    "N": "numbers beyond ASCII",
    "Z": "blanks",
    "P": "punctuation beyond ASCII",
    "S": "symbols beyond ASCII",
    "C": "control characters and the like",
}


class TextTraits(msgspec.Struct, frozen=True):
    """Numbers of texts, and of those that hold an entity, a tag, a character beyond ASCII."""

    num_texts: int = 0  # that are not empty
    num_with_entity: int = 0
    num_with_tag: int = 0
    num_beyond_ascii: int = 0


def traits_of(texts: pa.StringArray) -> tuple[TextTraits, Counter[str]]:
    """The traits of these texts, and how often each entity occurs, by `spelling_of`. 0.6 us a text of 600 bytes."""
    data, offsets = bytes_of(texts)
    marks = _marks(data)
    is_ampersand = data[marks] == ord("&")
    entities, num_with_entity = _count_entities(data, offsets, ampersands=marks[is_ampersand])
    starts = offsets[:-1][np.diff(offsets) > 0]
    traits = TextTraits(
        num_texts=len(starts),
        num_with_entity=num_with_entity,
        num_with_tag=_num_with_tag(data, offsets, angles=marks[~is_ampersand]),
        # The bytes of a character beyond ASCII are negative when read as signed.
        num_beyond_ascii=int((np.minimum.reduceat(data.view(np.int8), starts) < 0).sum()) if len(starts) else 0,
    )
    return traits, entities


def _marks(data: np.ndarray) -> np.ndarray:
    """The indices of `&`, `<` and `>`. Searched piece by piece, so that intermediate arrays stay in the CPU's cache."""
    marks = []
    for first in range(0, len(data), _PIECE):
        piece = data[first : first + _PIECE]
        is_wanted = (piece | 2) == ord(">")  # `<` is `>` without that bit
        is_wanted |= piece == ord("&")
        marks.append(np.flatnonzero(is_wanted) + first)
    return np.concatenate(marks) if marks else np.zeros(0, np.intp)


@lru_cache(maxsize=10_000)
def spelling_of(after_ampersand: bytes) -> str | None:
    """The entity that HTML5 reads from an `&` and the bytes after it, in one spelling for each; None if there is none.

    >>> [spelling_of(text) for text in (b"amp;", b"copyright", b"#X2019; s", b"#0151;", b"#x1F600;", b"mdash")]
    ['&amp;', '&copy;', '&#x2019;', '&#151;', '&#x…;', None]
    """
    if found := _HEX.match(after_ampersand):
        code = int(found[1], 16)
        return f"&#x{code:X};" if code < NUM_CODE_POINTS else OTHER_HEX
    if found := _DECIMAL.match(after_ampersand):
        code = int(found[1])
        return f"&#{code};" if code < NUM_CODE_POINTS else OTHER_DECIMAL
    if found := _NAME.match(after_ampersand):
        name = found[0].decode()
        # Old names need no semicolon, and letters may follow: `&copyright` begins with `&copy`.
        for end in range(len(name), 1, -1):
            if name[:end] in html.entities.html5:
                return f"&{name[:end].removesuffix(';')};"
    return None


def kind_of(spelling: str) -> str:
    """The kind of an entity: "named", "decimal" or "hex"."""
    if spelling.startswith("&#"):
        return "hex" if spelling[2] == "x" else "decimal"
    return "named"


def _count_entities(data: np.ndarray, offsets: np.ndarray, *, ampersands: np.ndarray) -> tuple[Counter[str], int]:
    """How often each entity occurs, and the number of texts that hold one. `ampersands`: the indices of each `&`."""
    starts = ampersands[ampersands < len(data) - 1] + 1
    starts = starts[_MAY_BEGIN_ENTITY[data[starts]]]
    rows = _rows_of(starts - 1, offsets)
    ends = offsets[rows + 1]
    tokens, has_end = _up_to_semicolon(data, starts, ends=ends)
    for start, end in zip(starts[~has_end].tolist(), ends[~has_end].tolist(), strict=True):
        tokens.append(data[start : min(end, start + _LONGEST)].tobytes())
    rows = np.concatenate([rows[has_end], rows[~has_end]])

    counts: Counter[str] = Counter()
    for token, count in Counter(tokens).items():
        if spelling := spelling_of(token):
            counts[spelling] += count
    if counts.total() < len(tokens):
        rows = rows[[spelling_of(token) is not None for token in tokens]]
    return counts, _num_distinct(rows, len(offsets))


def _up_to_semicolon(data: np.ndarray, starts: np.ndarray, *, ends: np.ndarray) -> tuple[list[bytes], np.ndarray]:
    """The bytes before the next semicolon, for starts that have one within _WINDOW and the text; and which have one."""
    has_end = starts + _WINDOW <= ends
    heads = np.ndarray(max(len(data) - _WINDOW + 1, 0), f"V{_WINDOW}", data, strides=(1,))[starts[has_end]]
    heads = heads.view(np.uint8).reshape(-1, _WINDOW)
    lengths = (heads == ord(";")).argmax(axis=1)
    has_end[has_end] = lengths > 0
    heads[np.arange(_WINDOW) > lengths[:, None]] = 0
    return heads[lengths > 0].view(f"S{_WINDOW}").ravel().tolist(), has_end


def _num_with_tag(data: np.ndarray, offsets: np.ndarray, *, angles: np.ndarray) -> int:
    """The number of texts that match `</?[A-Za-z][^<>]*>`: a `<`, a name, and no other angle bracket before a `>`."""
    is_pair = (data[angles[:-1]] == ord("<")) & (data[angles[1:]] == ord(">"))
    opening, closing = angles[:-1][is_pair], angles[1:][is_pair]
    first, second = data[opening + 1], data[np.minimum(opening + 2, closing)]
    is_tag = _IS_LETTER[first] | ((first == ord("/")) & _IS_LETTER[second])
    rows = _rows_of(opening[is_tag], offsets)
    return _num_distinct(rows[rows == _rows_of(closing[is_tag], offsets)], len(offsets))


def _rows_of(indices: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """For each index of a byte, the row of its text."""
    return np.searchsorted(offsets, indices, side="right") - 1


def _num_distinct(rows: np.ndarray, num_rows: int) -> int:
    is_there = np.zeros(num_rows, np.bool_)
    is_there[rows] = True
    return int(np.count_nonzero(is_there))


def count_characters(texts: pa.StringArray) -> Counter[str]:
    """The number of characters of each class. About 2 us a text of 600 bytes."""
    counts: Counter[str] = Counter()
    for character, count in character_counts(texts).items():
        counts[class_of(character)] += count
    return counts


def character_counts(texts: pa.StringArray) -> Counter[str]:
    """The number of times that each character occurs."""
    data, _ = bytes_of(texts)
    of_code = np.bincount(data, minlength=128)[:128].tolist()
    counts = Counter({chr(code): count for code, count in enumerate(of_code) if count})
    counts.update(data.tobytes().translate(None, _ALL_ASCII).decode())
    return counts


@lru_cache(maxsize=100_000)
def class_of(character: str) -> str:
    r"""The class of a character; there are about thirty.

    >>> [class_of(character) for character in "aé茶’&"]
    ['letters a to z', 'Latin letters beyond ASCII', 'Chinese characters', 'quotation marks', 'other ASCII signs']
    >>> class_of("\N{SOFT HYPHEN}")
    'characters that nobody sees'
    """
    category = unicodedata.category(character)[0]
    if character in QUOTES or character in PRIMES:
        return "quotation marks"
    if character.isspace():
        return "blanks"
    if _INVISIBLE.match(character):
        return "characters that nobody sees"
    if not character.isascii():
        return _class_of_letter(character) if category == "L" else _OF_CATEGORY[category]
    if character.isalnum():
        return "letters a to z" if character.isalpha() else "digits"
    if character in ",.":
        return "commas and full stops"
    return _OF_CATEGORY["C"] if category == "C" else "other ASCII signs"


def _class_of_letter(character: str) -> str:
    return _LETTERS.get(unicodedata.name(character, "").partition(" ")[0], _OTHER_LETTERS)
