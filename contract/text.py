"""Cleaning of titles and contents, the same for Spark and for the question that a user asks later.

The steps, in order: HTML5 entities (until nothing changes, at most three times), mojibake, tags and comments,
Unicode NFC, the profile's replacements and deletions, white space. A profile is data; see `PROFILES`.
Every path, one string or a batch, goes through `clean_array`, so training and asking cannot disagree.
"""

import html
import re
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

MAX_UNESCAPES: Final = 3

QUOTES: Final = "'\"`´‘’“”‚„«»‹›"
PRIMES: Final = "\u2032\u2033\u2034\u2035\u2036\u2037\u2057"

# ftfy 6.3 takes 45 us to look at 600 characters. What it calls bad always holds one of these: a C1 control, a broken
# ligature, a capital A with a blank after it, or two characters beyond ASCII of which one is no mere punctuation.
_PUNCTUATION: Final = re.escape(
    "".join(ftfy.badness.MOJIBAKE_CATEGORIES[name] for name in ("common", "start_punctuation", "end_punctuation"))
)
_SUSPECT: Final = (
    f"[\x80-\x9f]|[Œœ][^A-Za-z]|[ÃÂ] |[^\x00-\x7f][^\x00-\x7f{_PUNCTUATION}]|[^\x00-\x7f{_PUNCTUATION}][^\x00-\x7f]"
)

# Shortens runs of ASCII to their ends. No pattern of ftfy's detector holds more than three ASCII characters in a row.
_LONG_ASCII: Final = re.compile(r"([\x00-\x7f]{4})[\x00-\x7f]+([\x00-\x7f]{4})")

_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_SEPARATOR: Final = b"\xff"  # in no UTF-8
_TAG_OR_COMMENT: Final = r"(?s)<!--.*?-->|</?[A-Za-z][^<>]*>"


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

    About 10 us a text of 600 characters. What touches every text are a few passes over the bytes of all of them at
    once; Python looks only at texts that hold an `&`, a `<` or something beyond ASCII.
    """
    texts = _clean_once(pc.fill_null(texts, ""), profile)
    # Removing characters can put two together that spell mojibake or compose: such texts go round again.
    while True:
        unsettled = pc.or_(
            _test_where(texts, _is_suspect(texts), _is_mojibake),
            _test_where(texts, _is_not_ascii(texts), _is_not_composed),
        )
        if not pc.any(unsettled).as_py():
            return texts
        again = _clean_once(texts.filter(unsettled), profile)
        if again.equals(texts.filter(unsettled)):
            return texts
        texts = pc.replace_with_mask(texts, unsettled, again)


def _clean_once(texts: pa.StringArray, profile: Profile) -> pa.StringArray:
    characters = _characters_of(profile)
    texts = _each_where(texts, _has(texts, "&"), _unescape)
    texts = _each_where(texts, _is_suspect(texts), _repair_mojibake)
    texts = _where(texts, _has(texts, "<"), _blank_tags)
    texts = _each_where(texts, _is_not_ascii(texts), lambda text: _map_beyond_ascii(text, characters))
    return _map_ascii(texts, characters)


@dataclass(frozen=True)
class _Characters:
    """What becomes of each character."""

    beyond_ascii: "_BeyondAscii"
    ascii_texts: tuple[tuple[bytes, bytes], ...]  # those that become more than one character
    ascii_table: bytes
    ascii_deleted: bytes


class _BeyondAscii(dict[int, str]):
    """What becomes of each character beyond ASCII, by code point. RE2 is asked once for each that occurs."""

    def __init__(self, profile: Profile) -> None:
        super().__init__(_replacements(profile))
        self._keep = profile.keep

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_kept = character in self._keep or pc.match_substring_regex(character, r"[\p{L}\p{M}\p{N}]").as_py()
        return self.setdefault(code, character if is_kept else " ")


@cache
def _characters_of(profile: Profile) -> _Characters:
    replacements = {code: text for code, text in _replacements(profile).items() if code < 128}
    kept = {code for code in range(256) if code > 127 or chr(code).isalnum() or chr(code) in profile.keep}
    table = [code if code in kept else ord(" ") for code in range(256)]
    for code, text in replacements.items():
        table[code] = ord(text) if len(text) == 1 else code
    return _Characters(
        beyond_ascii=_BeyondAscii(profile),
        ascii_texts=tuple((bytes([code]), text.encode()) for code, text in replacements.items() if len(text) > 1),
        ascii_table=bytes(table),
        ascii_deleted=bytes(code for code, text in replacements.items() if not text),
    )


def _replacements(profile: Profile) -> dict[int, str]:
    deleted = {ord(character): "" for character in profile.delete}
    return deleted | {ord(character): text for characters, text in profile.replace for character in characters}


def _map_beyond_ascii(text: str, characters: _Characters) -> str:
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return _BEYOND_ASCII.sub(lambda found: found[0].translate(characters.beyond_ascii), text)


def _map_ascii(texts: pa.StringArray, characters: _Characters) -> pa.StringArray:
    """All texts at once, joined to one: passes over bytes cost far less than a regex a text."""
    if not len(texts):
        return texts
    as_one_list = pa.ListArray.from_arrays([0, len(texts)], texts.view(pa.binary()))
    joined = pc.binary_join(as_one_list, _SEPARATOR)[0].as_buffer().to_pybytes()
    for old, new in characters.ascii_texts:
        joined = joined.replace(old, new)
    joined = joined.translate(characters.ascii_table, characters.ascii_deleted)
    joined = _join_blanks(joined).strip(b" ")
    whole = pa.BinaryArray.from_buffers(
        pa.binary(), 1, [None, pa.py_buffer(np.array([0, len(joined)], np.int32)), pa.py_buffer(joined)]
    )
    return pc.split_pattern(whole, _SEPARATOR).values.view(pa.string())


def _join_blanks(joined: bytes) -> bytes:
    """Of each run of blanks one, and none at the ends of a text. No zero byte is left by now: it marks what goes."""
    data = np.frombuffer(bytearray(joined), np.uint8)
    is_blank = data == ord(" ")
    is_edge = is_blank | (data == _SEPARATOR[0])
    data[:-1] *= ~(is_blank[:-1] & is_edge[1:])
    data = np.frombuffer(bytearray(data.tobytes().translate(None, b"\0")), np.uint8)
    starts = np.flatnonzero(data[:-1] == _SEPARATOR[0]) + 1
    data[starts[data[starts] == ord(" ")]] = 0
    return data.tobytes().translate(None, b"\0")


def _unescape(text: str) -> str:
    for _ in range(MAX_UNESCAPES):
        unescaped = html.unescape(text)
        if unescaped == text:
            break
        text = unescaped
    return text


def _blank_tags(texts: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(texts, _TAG_OR_COMMENT, " ")


def _repair_mojibake(text: str) -> str:
    return ftfy.fix_encoding(text) if _is_mojibake(text) else text


def _is_mojibake(text: str) -> bool:
    """What ftfy says of the whole text, from what stands near its characters beyond ASCII: in a tenth of the time."""
    return ftfy.badness.is_bad(_LONG_ASCII.sub(r"\1\2", text))


def _is_not_composed(text: str) -> bool:
    return not unicodedata.is_normalized("NFC", text)


def _is_suspect(texts: pa.StringArray) -> pa.BooleanArray:
    """Where ftfy has to be asked whether there is mojibake; elsewhere there is none."""
    mask = _is_not_ascii(texts)
    return pc.replace_with_mask(mask, mask, pc.match_substring_regex(texts.filter(mask), _SUSPECT))


def _has(texts: pa.StringArray, character: str) -> pa.BooleanArray:
    """Which texts hold an ASCII character."""
    _, offsets_buffer, data_buffer = texts.buffers()
    mask = np.zeros(len(texts), np.bool_)
    if data_buffer is not None:
        offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        data = np.frombuffer(data_buffer, np.uint8)[: offsets[-1]]
        places = np.flatnonzero(data[offsets[0] :] == ord(character)) + offsets[0]
        mask[np.searchsorted(offsets, places, side="right") - 1] = True
    return pa.array(mask)


def _is_not_ascii(texts: pa.StringArray) -> pa.BooleanArray:
    return pc.invert(pc.string_is_ascii(texts))


def _test_where(texts: pa.StringArray, mask: pa.BooleanArray, predicate: Callable[[str], bool]) -> pa.BooleanArray:
    """Whether the predicate holds, asked only where the mask is set and false elsewhere."""
    found = pa.array([predicate(text) for text in texts.filter(mask).to_pylist()], pa.bool_())
    return pc.replace_with_mask(mask, mask, found)


def _each_where(texts: pa.StringArray, mask: pa.BooleanArray, change: Callable[[str], str]) -> pa.StringArray:
    return _where(texts, mask, lambda some: pa.array([change(text) for text in some.to_pylist()], pa.string()))


def _where(
    texts: pa.StringArray, mask: pa.BooleanArray, change: Callable[[pa.StringArray], pa.StringArray]
) -> pa.StringArray:
    """The texts, changed where the mask is set."""
    if not pc.any(mask).as_py():
        return texts
    return pc.replace_with_mask(texts, mask, change(texts.filter(mask)))
