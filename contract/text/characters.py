"""Replaces and deletes characters, as a profile says."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.text.joined import beyond_ascii, overwrite
from contract.text.profiles import JOINERS, Profile

_NUM_CODE_POINTS: Final = sys.maxunicode + 1
_FILLERS: Final = "\u3164\uffa0"  # Hangul fillers are letters that look like blanks


def map_characters(joined: bytes, profile: Profile) -> bytes:
    """The texts with each character replaced as the profile says; runs of blanks stay, and so do all joiners."""
    effects = effects_of(profile)
    for old, new in effects.ascii_texts:
        joined = joined.replace(old, new)
    joined = joined.translate(effects.ascii_table, effects.ascii_deleted)
    found = beyond_ascii(joined)
    numbers = effects.beyond_ascii.of(found.codes)
    return overwrite(joined, found, [(numbers == number, text) for number, text in enumerate(effects.texts, 1)])


def are_kept(codes: np.ndarray, profile: Profile) -> np.ndarray:
    """Whether the profile leaves each of these code points as it is."""
    effects = effects_of(profile)
    changed = b" " + effects.ascii_deleted + b"".join(old for old, _ in effects.ascii_texts)
    in_ascii = np.frombuffer(effects.ascii_table, np.uint8)[codes & 0x7F] == codes
    in_ascii &= ~np.isin(codes, np.frombuffer(changed, np.uint8))
    return np.where(codes < 128, in_ascii, effects.beyond_ascii.of(codes) == 0)


class Lookup:
    """A number for each code point, computed when the code point first occurs."""

    def __init__(self, function: Callable[[list[str]], list[int]]) -> None:
        self._function = function
        self._known = np.full(_NUM_CODE_POINTS, -1, np.int8)

    def of(self, codes: np.ndarray) -> np.ndarray:
        """The numbers of these code points."""
        numbers = self._known[codes]
        if (numbers < 0).any():
            unknown = np.unique(codes[numbers < 0])
            self._known[unknown] = self._function([chr(code) for code in unknown.tolist()])
            numbers = self._known[codes]
        return numbers


@dataclass(frozen=True)
class Effects:
    """The effect of a profile on each character."""

    ascii_texts: tuple[tuple[bytes, bytes], ...]  # ASCII characters that become more than one
    ascii_table: bytes
    ascii_deleted: bytes
    texts: tuple[bytes, ...]  # replacements of characters beyond ASCII
    beyond_ascii: Lookup  # number in `texts`, from 1; 0 for a character that stays


@cache
def effects_of(profile: Profile) -> Effects:
    replacements = {ord(character): "" for character in profile.delete}
    replacements |= {ord(character): text for characters, text in profile.replace for character in characters}
    stays = "".join(rf"\p{{{category}}}" for category in ("L", "M", "N", *profile.keep_categories))
    in_ascii = {code: text for code, text in replacements.items() if code < 128}
    kept = {code for code in range(256) if code > 127 or chr(code).isalnum() or chr(code) in profile.keep}
    table = [code if code in kept else ord(" ") for code in range(256)]
    for code, text in in_ascii.items():
        table[code] = ord(text) if len(text) == 1 else code
    texts = sorted({" ", *replacements.values()})

    def effects(characters: list[str]) -> list[int]:
        # RE2 decides, since Python's tables differ from release to release; one call for all characters.
        is_kept = pc.match_substring_regex(pa.array(characters), f"[{stays}{JOINERS}]").to_pylist()
        return [
            1 + texts.index(replacements.get(ord(character), " "))
            if ord(character) in replacements or character in _FILLERS or not (kept or character in profile.keep)
            else 0
            for character, kept in zip(characters, is_kept, strict=True)
        ]

    return Effects(
        ascii_texts=tuple((bytes([code]), text.encode()) for code, text in in_ascii.items() if len(text) > 1),
        ascii_table=bytes(table),
        ascii_deleted=bytes(code for code, text in in_ascii.items() if not text),
        texts=tuple(text.encode() for text in texts),
        beyond_ascii=Lookup(effects),
    )
