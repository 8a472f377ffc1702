"""Cleaning of titles and contents, the same for Spark and for the question that a user asks later.

The steps, in order: HTML5 entities (until nothing changes, at most three times), mojibake, tags and comments,
Unicode NFC, the profile's replacements and deletions, white space. A profile is data; see `PROFILES`.
One string or a batch, all texts go through `clean_array`, so training and asking cannot disagree.
"""

import html
import re
import unicodedata
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.text.characters import Lookup, map_characters
from contract.text.joined import (
    SEPARATOR,
    BeyondAscii,
    beyond_ascii,
    change_texts,
    join,
    split,
    squeeze_blanks,
    texts_at,
)
from contract.text.mojibake import is_mojibake, repair_mojibake, suspect_offsets
from contract.text.profiles import SEED, Profile

MAX_UNESCAPES: Final = 3

# The entities that html.unescape changes; characters that occur in no name are left out.
_ENTITY: Final = re.compile(rb"(&(?:#(?:[0-9]+|[xX][0-9a-fA-F]+)|[A-Za-z0-9]{1,32});?)")
_TAG: Final = re.compile(rb"</?[A-Za-z][^<>\xff]*>")


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
        # Removing characters can join two that spell mojibake or compose: such texts are cleaned again.
        found, cleaned = beyond_ascii(joined), split(joined)
        garbled, loose = texts_at(joined, suspect_offsets(found)), texts_at(joined, _nfc_offsets(found))
        unsettled = np.union1d(
            garbled[is_mojibake(cleaned.take(garbled)).to_numpy(zero_copy_only=False)],
            loose[[not unicodedata.is_normalized("NFC", text) for text in cleaned.take(loose).to_pylist()]],
        )
        if not len(unsettled):
            return cleaned
        again = split(_clean_once(join(cleaned.take(unsettled)), profile))
        if again.equals(cleaned.take(unsettled)):
            return cleaned
        mask = np.zeros(len(cleaned), bool)
        mask[unsettled] = True
        joined = join(pc.replace_with_mask(cleaned, mask, again))


def _clean_once(joined: bytes, profile: Profile) -> bytes:
    joined = _blank_tags(repair_mojibake(_unescape(joined)))
    joined = change_texts(joined, _nfc_offsets(beyond_ascii(joined)), _compose)
    return squeeze_blanks(map_characters(joined, profile))


def _unescape(joined: bytes) -> bytes:
    """`html.unescape` of each text, repeated."""
    for _ in range(MAX_UNESCAPES):
        parts = _ENTITY.split(joined)
        if len(parts) == 1:
            break
        parts[1::2] = map(_UNESCAPED.__getitem__, parts[1::2])
        joined = b"".join(parts)
    return joined


class _Unescaped(dict[bytes, bytes]):
    """The text of each entity; a cache of as many entities as are likely to occur."""

    def __missing__(self, entity: bytes) -> bytes:
        if len(self) >= 50_000:
            self.clear()
        return self.setdefault(entity, html.unescape(entity.decode()).encode())


_UNESCAPED: Final = _Unescaped()


def _blank_tags(joined: bytes) -> bytes:
    """The texts with a blank, or a character that becomes one, in place of each tag and comment."""
    return _TAG.sub(b" ", _blank_comments(joined)) if b"<" in joined else joined


def _blank_comments(joined: bytes) -> bytes:
    """Comments are found by hand: a regex would search the whole text for the end of each comment that has none."""
    pieces, start, opened = [], 0, joined.find(b"<!--")
    while opened >= 0:
        end = joined.index(SEPARATOR, opened)
        closed = joined.find(b"-->", opened + 4, end)
        if closed < 0:  # no other comment of this text has an end either
            opened = joined.find(b"<!--", end)
            continue
        # `< ` begins no tag, and a tag that began before the comment cannot continue after it.
        pieces += [joined[start:opened], b"< "]
        start = closed + 3
        opened = joined.find(b"<!--", start)
    return b"".join([*pieces, joined[start:]])


def _compose(texts: pa.StringArray) -> pa.StringArray:
    return pa.array([unicodedata.normalize("NFC", text) for text in texts.to_pylist()], pa.string())


def _nfc_offsets(found: BeyondAscii) -> np.ndarray:
    """Offsets of characters that may not be composed; a text without such characters is in NFC."""
    return found.starts[_NOT_SURELY_COMPOSED.of(found.codes) > 0]


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
