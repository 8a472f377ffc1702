"""Cleaning of titles and contents, the same for Spark and for the question that a user asks later.

The steps, in order: escapes that were written twice, HTML as a browser shows it, HTML5 entities (until nothing changes,
at most three times), HTML that was written in entities, mojibake, invisible characters, Unicode NFC, the profile's
replacements and deletions, white space. A profile is data; see `PROFILES`.
One string or a batch, all texts go through `clean_array`, so training and asking cannot disagree.
"""

import html
import re
import unicodedata
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.text.characters import Lookup, map_characters
from contract.text.escapes import without_escapes
from contract.text.invisible import are_invisible, drop_invisible
from contract.text.joined import (
    BeyondAscii,
    beyond_ascii,
    change_texts,
    join,
    replace_pieces,
    split,
    squeeze_blanks,
    texts_at,
)
from contract.text.markup import with_parted_markup, without_escaped_markup, without_markup
from contract.text.mojibake import is_mojibake, repair_mojibake, suspect_offsets
from contract.text.profiles import SEED, Profile

MAX_UNESCAPES: Final = 3

# The entities that html.unescape changes; characters that occur in no name are left out.
_ENTITY: Final = re.compile(rb"(&(?:#(?:[0-9]+|[xX][0-9a-fA-F]+)|[A-Za-z0-9]{1,32});?)")


def clean(text: str, profile: Profile = SEED) -> str:
    """One cleaned text.

    >>> clean("Mog&#x2019;s <b>10&quot;</b> kittens &amp;mdash; new!")
    'Mogs 10 kittens new'
    """
    return clean_array(pa.array([replace_lone_surrogates(text)], pa.string()), profile)[0].as_py()


def replace_lone_surrogates(text: str) -> str:
    """The same text with U+FFFD for each half of a surrogate pair that lacks the other, so that it has a UTF-8 form."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_array(texts: pa.StringArray, profile: Profile = SEED) -> pa.StringArray:
    """Cleaned texts, in order; nulls become empty. Cleaning cleaned texts changes nothing.

    About 4 us a text of 600 characters, in a few passes over the bytes of all texts at once. Python handles only
    texts that may hold mojibake or a character that is not composed, and each different entity once.
    """
    joined = _clean_once(join(pc.fill_null(texts, "")), profile)
    while True:
        # Removing characters can join two that spell mojibake or compose, and composing moves marks next to a joiner:
        # such texts are cleaned again.
        found, cleaned = beyond_ascii(joined), split(joined)
        garbled, loose = texts_at(joined, suspect_offsets(found)), texts_at(joined, _loose_offsets(found))
        unsettled = np.union1d(
            garbled[is_mojibake(cleaned.take(garbled)).to_numpy(zero_copy_only=False)],
            loose[_are_loose(cleaned.take(loose), profile)],
        )
        if not len(unsettled):
            return cleaned
        again = split(_clean_once(join(cleaned.take(unsettled)), profile))
        if again.equals(cleaned.take(unsettled)):
            return cleaned
        mask = np.zeros(len(cleaned), bool)
        mask[unsettled] = True
        joined = join(pc.replace_with_mask(cleaned, mask, again))


def shown_texts(texts: pa.StringArray) -> pa.StringArray:
    """The texts, none of them null, as a browser shows them: before a profile decides which characters stay."""
    return split(_shown(join(texts)))


def _shown(joined: bytes) -> bytes:
    return without_escaped_markup(_unescape(without_markup(without_escapes(joined))))


def _clean_once(joined: bytes, profile: Profile) -> bytes:
    joined = _shown(joined)
    found = beyond_ascii(joined)
    offsets = np.concatenate([suspect_offsets(found), _loose_offsets(found)])
    joined = change_texts(joined, offsets, partial(_settle, profile=profile))
    return squeeze_blanks(_with_parted_signs(map_characters(joined, profile)))


def _settle(texts: pa.StringArray, *, profile: Profile) -> pa.StringArray:
    """The texts without mojibake and what nobody sees, composed."""
    joined = join(repair_mojibake(texts))
    offsets = _loose_offsets(beyond_ascii(joined))
    return split(change_texts(joined, offsets, lambda loose: _compose(split(drop_invisible(join(loose), profile)))))


def _unescape(joined: bytes) -> bytes:
    """`html.unescape` of each text, repeated."""
    parts = _ENTITY.split(joined)
    parts[1::2] = map(_UNESCAPED.__getitem__, parts[1::2])
    joined = b"".join(parts)
    for _ in range(MAX_UNESCAPES - 1):  # most texts have no `&` any more
        joined = replace_pieces(joined, b"&", _unescaped_at)
    return joined


def _unescaped_at(joined: bytes, offset: int) -> tuple[bytes, int] | None:
    found = _ENTITY.match(joined, offset)
    return (_UNESCAPED[found[0]], found.end()) if found else None


def _with_parted_signs(joined: bytes) -> bytes:
    """The texts with a blank after each `&` and `<` that is text here, and HTML if it were cleaned again."""
    return with_parted_markup(replace_pieces(joined, b"&", _parted_at))


def _parted_at(joined: bytes, offset: int) -> tuple[bytes, int] | None:
    found = _ENTITY.match(joined, offset)
    return (b"& ", offset + 1) if found and _UNESCAPED[found[0]] != found[0] else None


class _Unescaped(dict[bytes, bytes]):
    """The text of each entity; a cache of as many entities as are likely to occur."""

    def __missing__(self, entity: bytes) -> bytes:
        if len(self) >= 50_000:
            self.clear()
        return self.setdefault(entity, html.unescape(entity.decode()).encode())


_UNESCAPED: Final = _Unescaped()


def _are_loose(texts: pa.StringArray, profile: Profile) -> np.ndarray:
    """Whether each text is not composed, or holds what nobody sees out of its place."""
    is_composed = [unicodedata.is_normalized("NFC", text) for text in texts.to_pylist()]
    is_in_place = pc.equal(texts, split(drop_invisible(join(texts), profile))).to_numpy(zero_copy_only=False)
    return ~(np.array(is_composed, bool) & is_in_place)


def _compose(texts: pa.StringArray) -> pa.StringArray:
    return pa.array([unicodedata.normalize("NFC", text) for text in texts.to_pylist()], pa.string())


def _loose_offsets(found: BeyondAscii) -> np.ndarray:
    """Offsets of characters that nobody sees or that may not be composed; a text without them changes by neither."""
    return found.starts[are_loose_characters(found.codes)]


def are_loose_characters(codes: np.ndarray) -> np.ndarray:
    """Whether nobody sees these characters, or they may not be composed; a text without the latter is in NFC."""
    return are_invisible(codes) | (_NOT_SURELY_COMPOSED.of(codes) > 0)


def _is_not_surely_composed(character: str) -> bool:
    """Whether NFC may change this character, or others next to it: marks and parts of Hangul syllables compose."""
    return (
        character >= "\U00010000"
        or "\u1100" <= character <= "\u11ff"
        or unicodedata.category(character)[0] == "M"
        or unicodedata.combining(character) > 0
        or not unicodedata.is_normalized("NFC", character)
    )


_NOT_SURELY_COMPOSED: Final = Lookup(lambda characters: [*map(_is_not_surely_composed, characters)])
