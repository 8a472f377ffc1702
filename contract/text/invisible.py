"""Characters that nobody sees: most vanish, some stay where a word needs them."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.text.characters import Lookup, are_kept
from contract.text.joined import BeyondAscii, beyond_ascii, overwrite
from contract.text.profiles import JOINERS, Profile

# Sets of characters as patterns of RE2 and of `re` write them. First: soft hyphen, grapheme joiner, zero-width space,
# marks of direction, word joiner, invisible operators, zero-width no-break space, tags.
VANISHING: Final = (
    "\u00ad\u034f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0001\U000e0020-\U000e007f"
)
# They choose the form of the character before them. A keycap draws a key around it, after a selector or without one.
SELECTORS: Final = "\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180d\u180f"
_KEYCAP: Final = "\u20e3"

# Scripts whose letters join or change their form by a joiner, and marks that several scripts share.
_JOINING_SCRIPTS: Final = (
    "Arabic Syriac Mandaic Nko Mongolian Phags_Pa Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada"
    " Malayalam Sinhala Khmer Myanmar Tibetan Balinese Javanese"
)
_SHARED_MARKS: Final = "\u064b-\u0655\u0670\u0951-\u0954\u1cd0-\u1cff"
_IN_JOINING_SCRIPT: Final = (
    "[" + "".join(rf"\p{{{script}}}" for script in _JOINING_SCRIPTS.split()) + _SHARED_MARKS + "]"
)

_VANISHES, _JOINS, _SELECTS, _IS_JOINED = range(1, 5)  # kinds of characters; 0 for any other


def invisible_offsets(found: BeyondAscii) -> np.ndarray:
    """Offsets of the characters that nobody sees."""
    return found.starts[are_invisible(found.codes)]


def are_invisible(codes: np.ndarray) -> np.ndarray:
    """Whether nobody sees these characters."""
    kinds = _KINDS.of(codes)
    return (kinds > 0) & (kinds < _IS_JOINED)


def drop_invisible(joined: bytes, profile: Profile) -> bytes:
    """The texts without what nobody sees.

    A joiner stays between two letters or marks of scripts that need it. A selector stays if the profile keeps the
    character before it.
    """
    joined = joined.replace(b"\0", b" ")  # as in every profile; `overwrite` needs it
    found = beyond_ascii(joined)
    if not len(invisible_offsets(found)):
        return joined
    joined = _without(joined, found, _KINDS.of(found.codes) == _VANISHES)

    found = beyond_ascii(joined)
    is_joiner = _KINDS.of(found.codes) == _JOINS
    joined = _without(joined, found, is_joiner & _after(found, is_joiner))  # the first of several in a row decides

    found = beyond_ascii(joined)
    kinds = _KINDS.of(found.codes)
    is_joined, is_joiner = kinds == _IS_JOINED, kinds == _JOINS
    joined = _without(joined, found, is_joiner & ~(_after(found, is_joined) & _before(found, is_joined)))
    return _without_lone_selectors(joined, profile)


def _without_lone_selectors(joined: bytes, profile: Profile) -> bytes:
    """The texts without selectors that follow nothing, another selector, or a character that the profile removes.

    A keycap may follow a selector that stays.
    """
    found = beyond_ascii(joined)
    is_selector = _KINDS.of(found.codes) == _SELECTS
    if not is_selector.any():
        return joined
    is_kept = are_kept(found.codes, profile) & ~is_selector
    before = found.data[found.starts - 1].astype(np.int32)  # where there is none, a byte of the padding
    stays = is_selector & np.where(before < 128, are_kept(before & 0x7F, profile), _after(found, is_kept))
    stays |= (found.codes == ord(_KEYCAP)) & _after(found, stays)
    return _without(joined, found, is_selector & ~stays)


def _without(joined: bytes, found: BeyondAscii, is_chosen: np.ndarray) -> bytes:
    return overwrite(joined, found, [(is_chosen, b"")])


def _after(found: BeyondAscii, is_chosen: np.ndarray) -> np.ndarray:
    """Whether each character follows one of the chosen ones directly."""
    after = np.zeros(len(is_chosen), bool)
    after[1:] = is_chosen[:-1] & found.touches_next
    return after


def _before(found: BeyondAscii, is_chosen: np.ndarray) -> np.ndarray:
    """Whether one of the chosen characters follows each directly."""
    before = np.zeros(len(is_chosen), bool)
    before[:-1] = is_chosen[1:] & found.touches_next
    return before


def _kinds(characters: list[str]) -> list[int]:
    texts = pa.array(characters)
    is_letter = pc.match_substring_regex(texts, r"[\p{L}\p{M}]")
    is_joined = pc.and_(is_letter, pc.match_substring_regex(texts, _IN_JOINING_SCRIPT))
    is_selector = pc.match_substring_regex(texts, f"[{SELECTORS}{_KEYCAP}]")
    kinds = [
        (is_selector, _SELECTS),
        (pc.match_substring_regex(texts, f"[{JOINERS}]"), _JOINS),
        (pc.match_substring_regex(texts, f"[{VANISHING}]"), _VANISHES),
        (is_joined, _IS_JOINED),
    ]
    return np.select([each.to_numpy(zero_copy_only=False) for each, _ in kinds], [kind for _, kind in kinds]).tolist()


_KINDS: Final = Lookup(_kinds)
