"""Mojibake is found by the rules of ftfy, over the bytes of many texts at once, and repaired by ftfy."""

import re
import string
from typing import Final

import ftfy
import ftfy.badness
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.text.characters import Lookup
from contract.text.joined import BeyondAscii

_PUNCTUATION: Final = "".join(
    ftfy.badness.MOJIBAKE_CATEGORIES[name] for name in ("common", "start_punctuation", "end_punctuation")
)
_ASCII_LETTERS: Final = np.frombuffer(string.ascii_letters.encode(), np.uint8)

# The pattern of ftfy, without the blanks and comments of a verbose pattern, for RE2, which is 60 times faster.
_MOJIBAKE: Final = (
    re.sub(r"(\[(?:\\.|[^]\\])*\]|\\.)|\s+|#[^\n]*", r"\1", ftfy.badness.BADNESS_RE.pattern)
    .replace(r"\w", r"[\p{L}\p{N}_]")
    .replace(r"\s", r"[\s\p{Z}\x{1c}-\x{1f}\x{85}]")
)


def repair_mojibake(texts: pa.StringArray) -> pa.StringArray:
    """The texts; those that hold mojibake are decoded again, by the encoding that was meant."""
    is_bad = is_mojibake(texts)
    fixed = pa.array([ftfy.fix_encoding(text) for text in texts.filter(is_bad).to_pylist()], pa.string())
    return pc.replace_with_mask(texts, is_bad, fixed)


def is_mojibake(texts: pa.StringArray) -> pa.BooleanArray:
    """`ftfy.badness.is_bad` of each text."""
    return pc.match_substring_regex(texts, _MOJIBAKE)


def suspect_offsets(found: BeyondAscii) -> np.ndarray:
    """Offsets of characters that may be mojibake; a text without such characters holds none.

    ftfy 6.3 takes 45 us for 600 characters. A text that it calls bad always holds one of these: a C1 control, a broken
    ligature, a capital A with a blank after it, or two characters of its patterns that form one of SUSPECT_PAIRS.
    """
    kinds, next_bytes = _KINDS.of(found.codes), found.next_bytes
    is_suspect = kinds == CONTROL
    is_suspect |= (kinds == LIGATURE) & ~np.isin(next_bytes, _ASCII_LETTERS)
    is_suspect |= (kinds == CAPITAL_A) & (next_bytes == ord(" "))
    is_suspect[:-1] |= found.touches_next & SUSPECT_PAIRS[kinds[:-1], kinds[1:]]
    return found.starts[is_suspect]


def kinds_of(codes: np.ndarray) -> np.ndarray:
    """The kinds of these code points beyond ASCII (int8)."""
    return _KINDS.of(codes)


def _suspect_pairs() -> np.ndarray:
    is_suspect = np.ones((NUM_KINDS, NUM_KINDS), bool)
    is_suspect[0, :] = is_suspect[:, 0] = False
    is_suspect[PUNCTUATION, PUNCTUATION] = False
    # Portuguese has words with `ção`, and all of Greek and Cyrillic is named. No pattern needs only such pairs.
    is_suspect[ACCENTED, ACCENTED] = False
    is_suspect[SMALL, SMALL] = is_suspect[LARGE, LARGE] = is_suspect[LARGE, SMALL] = False
    return is_suspect


# Kinds of characters; 0 for those that no pattern of ftfy names. ACCENTED: small Latin letters; SMALL, LARGE: Greek and
# Cyrillic ones.
PUNCTUATION, OTHER, ACCENTED, SMALL, LARGE, CAPITAL_A, LIGATURE, CONTROL = range(1, 9)
NUM_KINDS: Final = 9
SUSPECT_PAIRS: Final = _suspect_pairs()  # [kind, kind of the next character]
_SETS: Final = re.findall(r"\[([^]^][^]]*)\]", ftfy.badness.BADNESS_RE.pattern)
_ALONE: Final = re.findall(r"[^\x00-\x7f]", re.sub(r"\[[^]]*\]|#[^\n]*", "", ftfy.badness.BADNESS_RE.pattern))
_CATEGORIES: Final = ftfy.badness.MOJIBAKE_CATEGORIES
_SMALL_OF_KAOMOJI: Final = "ò-öø-ü"
_PATTERNS: Final = {
    kind: re.compile("|".join(f"[{each}]" for each in sets))
    for kind, sets in (
        (PUNCTUATION, [_PUNCTUATION]),
        (ACCENTED, [_CATEGORIES["lower_accented"], _SMALL_OF_KAOMOJI]),
        (SMALL, [_CATEGORIES["lower_common"]]),
        (LARGE, [_CATEGORIES["upper_common"]]),
        (OTHER, [*_SETS, *_ALONE]),
    )
}


def _kind_of(character: str) -> int:
    if character in "Œœ":
        return LIGATURE
    if character in "ÃÂ":
        return CAPITAL_A
    if character < "\u00a0":
        return CONTROL
    for kind, pattern in _PATTERNS.items():
        if pattern.match(character):
            return kind
    return 0


_KINDS: Final = Lookup(lambda characters: [*map(_kind_of, characters)])
