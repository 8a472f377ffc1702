"""Cleaning of titles and contents, the same for Spark and for the question that a user asks later.

The steps, in order: HTML5 entities (until nothing changes, at most three times), mojibake, tags and comments,
Unicode NFC, the profile's replacements and deletions, white space. A profile is data; see `PROFILES`.
Every path, one string or a batch, goes through `clean_array`, so training and asking cannot disagree.
"""

import html
import re
import string
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import ftfy
import ftfy.badness
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import unknown_name
from contract.joined import (
    SEPARATOR,
    BeyondAscii,
    beyond_ascii,
    change_texts,
    join,
    overwrite,
    split,
    squeeze_blanks,
    texts_at,
)

MAX_UNESCAPES: Final = 3

QUOTES: Final = "'\"`´‘’“”‚„«»‹›"
PRIMES: Final = "\u2032\u2033\u2034\u2035\u2036\u2037\u2057"

_PUNCTUATION: Final = np.array(
    sorted(
        ord(character)
        for name in ("common", "start_punctuation", "end_punctuation")
        for character in ftfy.badness.MOJIBAKE_CATEGORIES[name]
    )
)
_LIGATURES: Final = np.array([ord(character) for character in "Œœ"])
_CAPITALS: Final = np.array([ord(character) for character in "ÃÂ"])
_ASCII_LETTERS: Final = np.frombuffer(string.ascii_letters.encode(), np.uint8)

# ftfy's own pattern for RE2, which is 60 times faster: without the blanks and comments of a verbose pattern.
_MOJIBAKE: Final = (
    re.sub(r"(\[(?:\\.|[^]\\])*\]|\\.)|\s+|#[^\n]*", r"\1", ftfy.badness.BADNESS_RE.pattern)
    .replace(r"\w", r"[\p{L}\p{N}_]")
    .replace(r"\s", r"[\s\p{Z}\x{1c}-\x{1f}\x{85}]")
)

# What html.unescape looks at, less the characters that are in no name: they stay as they are.
_ENTITY: Final = re.compile(rb"(&(?:#(?:[0-9]+|[xX][0-9a-fA-F]+)|[A-Za-z0-9]{1,32});?)")
_TAG: Final = re.compile(rb"</?[A-Za-z][^<>\xff]*>")


@dataclass(frozen=True)
class Profile:
    """Which characters survive cleaning, beside letters, marks, numbers and blanks.

    A character is looked up in `replace`, then in `delete` (it vanishes, its neighbours join), then in `keep`;
    any other becomes a blank.
    """

    name: str
    keep: str
    delete: str = ""
    replace: tuple[tuple[str, str], ...] = ()  # (any of these characters, becomes this text)

    def __post_init__(self) -> None:
        for characters, text in self.replace:
            for character in characters:
                if not character.isascii() and len(text.encode()) > len(character.encode()):
                    raise ValueError(f"{text!r} takes more bytes than {character!r}, in whose place it would stand")


SEED: Final = Profile(name="seed", delete=QUOTES + PRIMES, keep=",.")

NATURAL: Final = Profile(
    name="natural",
    keep=",.;:!?'\"()&%/+-#$€£@°*=_",
    replace=(
        ("`´‘’‚‹›\u2032\u2035", "'"),
        ("“”„«»\u2033\u2036", '"'),
        ("‐‑‒–—―−", "-"),
        ("…", "..."),
        ("•·", ","),
        # A blank on either side, or the text that follows could read as an entity when cleaned again.
        ("&", " & "),
    ),
)

PROFILES: Final = {profile.name: profile for profile in (SEED, NATURAL)}


def find_profile(name: str) -> Profile:
    """The profile of this name; UserError with the nearest known name otherwise."""
    if name not in PROFILES:
        raise unknown_name("text profile", name, PROFILES)
    return PROFILES[name]


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
    """Cleaned texts, in order; nulls become empty. Cleaning what is clean changes nothing.

    About 4 us a text of 600 characters, as a few passes over the bytes of all texts at once; Python looks only at texts
    that may hold mojibake or a character that is not composed, and once at each different entity.
    """
    joined = _clean_once(join(pc.fill_null(texts, "")), profile)
    while True:
        # Removing characters can put two together that spell mojibake or compose: such texts go round again.
        found, cleaned = beyond_ascii(joined), split(joined)
        garbled, loose = texts_at(joined, _mojibake_places(found)), texts_at(joined, _nfc_places(found))
        unsettled = np.union1d(
            garbled[_is_mojibake(cleaned.take(garbled)).to_numpy(zero_copy_only=False)],
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
    joined = _blank_tags(_repair_mojibake(_unescape(joined)))
    joined = change_texts(joined, _nfc_places(beyond_ascii(joined)), _compose)
    return squeeze_blanks(_map_characters(joined, _effects_of(profile)))


def _unescape(joined: bytes) -> bytes:
    """What `html.unescape` makes of each text, repeated."""
    for _ in range(MAX_UNESCAPES):
        parts = _ENTITY.split(joined)
        if len(parts) == 1:
            break
        parts[1::2] = map(_UNESCAPED.__getitem__, parts[1::2])
        joined = b"".join(parts)
    return joined


class _Unescaped(dict[bytes, bytes]):
    """What each entity stands for, for as many different ones as are likely to come."""

    def __missing__(self, entity: bytes) -> bytes:
        if len(self) >= 50_000:
            self.clear()
        return self.setdefault(entity, html.unescape(entity.decode()).encode())


_UNESCAPED: Final = _Unescaped()


def _repair_mojibake(joined: bytes) -> bytes:
    return change_texts(joined, _mojibake_places(beyond_ascii(joined)), _fix_encodings)


def _fix_encodings(texts: pa.StringArray) -> pa.StringArray:
    is_bad = _is_mojibake(texts)
    fixed = pa.array([ftfy.fix_encoding(text) for text in texts.filter(is_bad).to_pylist()], pa.string())
    return pc.replace_with_mask(texts, is_bad, fixed)


def _is_mojibake(texts: pa.StringArray) -> pa.BooleanArray:
    """What `ftfy.badness.is_bad` says of each text."""
    return pc.match_substring_regex(texts, _MOJIBAKE)


def _mojibake_places(found: BeyondAscii) -> np.ndarray:
    """Where ftfy has to be asked whether there is mojibake; elsewhere there is none.

    ftfy 6.3 takes 45 us to look at 600 characters. What it calls bad always holds one of these: a C1 control, a broken
    ligature, a capital A with a blank after it, or two characters beyond ASCII of which one is no mere punctuation.
    """
    codes, next_bytes = found.codes, found.next_bytes
    is_suspect = codes < 0xA0
    is_suspect |= np.isin(codes, _LIGATURES) & ~np.isin(next_bytes, _ASCII_LETTERS)
    is_suspect |= np.isin(codes, _CAPITALS) & (next_bytes == ord(" "))
    is_other = ~np.isin(codes, _PUNCTUATION)
    is_suspect[:-1] |= found.touches_next & (is_other[:-1] | is_other[1:])
    return found.starts[is_suspect]


def _blank_tags(joined: bytes) -> bytes:
    """A blank, or what will become one, for each tag and comment."""
    return _TAG.sub(b" ", _blank_comments(joined)) if b"<" in joined else joined


def _blank_comments(joined: bytes) -> bytes:
    """Comments are looked for by hand, as a regex would look for the end of each again that has none."""
    pieces, start, opened = [], 0, joined.find(b"<!--")
    while opened >= 0:
        end = joined.index(SEPARATOR, opened)
        closed = joined.find(b"-->", opened + 4, end)
        if closed < 0:  # nor has any other in this text an end
            opened = joined.find(b"<!--", end)
            continue
        # `< ` neither begins a tag nor lets one that began before the comment go on behind it.
        pieces += [joined[start:opened], b"< "]
        start = closed + 3
        opened = joined.find(b"<!--", start)
    return b"".join([*pieces, joined[start:]])


def _compose(texts: pa.StringArray) -> pa.StringArray:
    return pa.array([unicodedata.normalize("NFC", text) for text in texts.to_pylist()], pa.string())


def _nfc_places(found: BeyondAscii) -> np.ndarray:
    """Characters without which a text is in NFC for sure."""
    return found.starts[_NOT_SURELY_COMPOSED.of(found.codes) > 0]


@dataclass(frozen=True)
class _Effects:
    """What becomes of each character."""

    ascii_texts: tuple[tuple[bytes, bytes], ...]  # those that become more than one character
    ascii_table: bytes
    ascii_deleted: bytes
    texts: tuple[bytes, ...]  # what stands in place of characters beyond ASCII
    beyond_ascii: "_Lookup"  # which of `texts`, from 1; 0 for a character that stays


@cache
def _effects_of(profile: Profile) -> _Effects:
    replacements = {ord(character): "" for character in profile.delete}
    replacements |= {ord(character): text for characters, text in profile.replace for character in characters}
    in_ascii = {code: text for code, text in replacements.items() if code < 128}
    kept = {code for code in range(256) if code > 127 or chr(code).isalnum() or chr(code) in profile.keep}
    table = [code if code in kept else ord(" ") for code in range(256)]
    for code, text in in_ascii.items():
        table[code] = ord(text) if len(text) == 1 else code
    texts = sorted({" ", *replacements.values()})

    def effects(characters: list[str]) -> list[int]:
        # RE2 decides: Python's own tables are older or newer from release to release. Asked once for all of them.
        is_letter = pc.match_substring_regex(pa.array(characters), r"[\p{L}\p{M}\p{N}]").to_pylist()
        return [
            1 + texts.index(replacements.get(ord(character), " "))
            if ord(character) in replacements or not (kept or character in profile.keep)
            else 0
            for character, kept in zip(characters, is_letter, strict=True)
        ]

    return _Effects(
        ascii_texts=tuple((bytes([code]), text.encode()) for code, text in in_ascii.items() if len(text) > 1),
        ascii_table=bytes(table),
        ascii_deleted=bytes(code for code, text in in_ascii.items() if not text),
        texts=tuple(text.encode() for text in texts),
        beyond_ascii=_Lookup(effects),
    )


def _map_characters(joined: bytes, effects: _Effects) -> bytes:
    for old, new in effects.ascii_texts:
        joined = joined.replace(old, new)
    joined = joined.translate(effects.ascii_table, effects.ascii_deleted)
    found = beyond_ascii(joined)
    numbers = effects.beyond_ascii.of(found.codes)
    return overwrite(joined, found, [(numbers == number, text) for number, text in enumerate(effects.texts, 1)])


class _Lookup:
    """A number for each code point, worked out when one first occurs."""

    def __init__(self, function: Callable[[list[str]], list[int]]) -> None:
        self._function = function
        self._known = np.full(sys.maxunicode + 1, -1, np.int8)

    def of(self, codes: np.ndarray) -> np.ndarray:
        """The numbers of these code points."""
        numbers = self._known[codes]
        if (numbers < 0).any():
            unknown = np.unique(codes[numbers < 0])
            self._known[unknown] = self._function([chr(code) for code in unknown.tolist()])
            numbers = self._known[codes]
        return numbers


def _is_not_surely_composed(character: str) -> bool:
    """Whether NFC may change this character, or others next to it: marks and parts of Hangul syllables compose."""
    return (
        character >= "\U00010000"
        or "\u1100" <= character <= "\u11ff"
        or unicodedata.category(character)[0] == "M"
        or unicodedata.combining(character) > 0
        or not unicodedata.is_normalized("NFC", character)
    )


_NOT_SURELY_COMPOSED: Final = _Lookup(lambda characters: [*map(_is_not_surely_composed, characters)])
