"""The tables of the compiled pass, made from the rules of contract.text."""

import html
import html.entities
import sys
from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np

from contract.text.characters import effects_of
from contract.text.clean import are_loose_characters
from contract.text.compiled.kernel import (
    BITS_OF_KIND,
    DELETED,
    LEFT,
    SPECIAL,
    UNKNOWN,
    Tables,
)
from contract.text.compiled.pieces import Words, hash_of
from contract.text.markup import PLAIN_TAGS
from contract.text.mojibake import CONTROL, SUSPECT_PAIRS, kinds_of
from contract.text.profiles import Profile

_KNOWN_AT_FIRST: Final = np.arange(0x80, 0x3000)  # alphabets and signs; other characters when they first occur

_HAS_MEANING: Final = b"&<\\"  # in HTML, or as an escape
_LONGEST_TEXT: Final = 4


@cache
def tables_of(profile: Profile) -> Tables | None:
    """The tables of a profile; None where one of its replacements is of a kind that the compiled pass does not know."""
    effects = effects_of(profile)
    if effects.ascii_texts or len(effects.texts) >= LEFT >> BITS_OF_KIND or not all(map(_is_simple, effects.texts)):
        return None
    written = np.frombuffer(effects.ascii_table, np.uint8)[:128].copy()
    written[list(effects.ascii_deleted)] = DELETED
    meanings = np.full(256, SPECIAL, np.uint8)
    meanings[:128] = written
    meanings[list(_HAS_MEANING)] = SPECIAL
    texts = np.zeros((len(effects.texts) + 1, _LONGEST_TEXT), np.uint8)
    for number, text in enumerate(effects.texts, 1):
        texts[number, : len(text)] = list(text)
    tables = Tables(
        meanings=meanings,
        ascii=written,
        numbers=np.full(sys.maxunicode + 1, UNKNOWN, np.uint8),
        suspect_pairs=SUSPECT_PAIRS,
        texts=texts,
        code_points=np.array([_code_point(f"&#{code};") for code in range(256)], np.int32),
        entities=_words({name.encode(): _code_point(f"&{name}") for name in html.entities.html5}),
        tags=_words({tag: int(shown == b" ") for tag, shown in PLAIN_TAGS.items()}),
    )
    look_up(_KNOWN_AT_FIRST, tables, profile)
    return tables


def look_up(codes: np.ndarray, tables: Tables, profile: Profile) -> None:
    """Enters these characters beyond ASCII in the tables."""
    kinds, effects = kinds_of(codes), effects_of(profile).beyond_ascii.of(codes)
    numbers = kinds + (effects.astype(np.int64) << BITS_OF_KIND)
    numbers[(kinds == CONTROL) | are_loose_characters(codes)] = LEFT
    tables.numbers[codes] = numbers


def _is_simple(text: bytes) -> bool:
    return text.isascii() and len(text) <= _LONGEST_TEXT and not set(text) & set(_HAS_MEANING)


def _code_point(entity: str) -> int:
    """What an entity stands for; -1 where that is not one character, or one that means something to later steps."""
    text = html.unescape(entity)
    return ord(text) if len(text) == 1 and text != "\\" and text < "\ud800" else -1


def _words(values: Mapping[bytes, int]) -> Words:
    slots = np.full(1 << (2 * len(values)).bit_length(), -1, np.int32)
    for number, word in enumerate(values):
        slot = hash_of(np.frombuffer(word, np.uint8), 0, len(word)) & (len(slots) - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = number
    return Words(
        slots,
        np.frombuffer(b"".join(values), np.uint8),
        np.cumsum([0, *map(len, values)], dtype=np.int32),
        np.array([*values.values()], np.int32),
    )
