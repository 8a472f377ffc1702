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
from typing import Final

import ftfy
import ftfy.badness
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

    About 10 us a text of 600 characters; most of it in RE2, entities in Python and only where there is an `&`.
    """
    texts = _clean_once(pc.fill_null(texts, ""), profile)
    # Removing characters can put two together that spell mojibake or compose: such texts go round again.
    while True:
        unsettled = pc.or_(
            _test_where(texts, _is_suspect(texts), ftfy.badness.is_bad),
            _test_where(texts, _is_not_ascii(texts), _is_not_composed),
        )
        if not pc.any(unsettled).as_py():
            return texts
        again = _clean_once(texts.filter(unsettled), profile)
        if again.equals(texts.filter(unsettled)):
            return texts
        texts = pc.replace_with_mask(texts, unsettled, again)


def _clean_once(texts: pa.StringArray, profile: Profile) -> pa.StringArray:
    texts = _apply_where(texts, pc.match_substring(texts, "&"), _unescape)
    texts = _apply_where(texts, _is_suspect(texts), _repair_mojibake)
    texts = pc.replace_substring_regex(texts, _TAG_OR_COMMENT, " ")
    texts = pc.utf8_normalize(texts, form="NFC")
    for characters, replacement in profile.replace:
        texts = pc.replace_substring_regex(texts, f"[{re.escape(characters)}]", replacement)
    if profile.delete:
        texts = pc.replace_substring_regex(texts, f"[{re.escape(profile.delete)}]", "")
    texts = pc.replace_substring_regex(texts, rf"[^\p{{L}}\p{{M}}\p{{N}}{re.escape(profile.keep)} ]", " ")
    # Two or more, not one or more: the single blanks are most of them, and need no work.
    texts = pc.replace_substring_regex(texts, "  +", " ")
    return pc.ascii_trim(texts, " ")


def _unescape(text: str) -> str:
    for _ in range(MAX_UNESCAPES):
        unescaped = html.unescape(text)
        if unescaped == text:
            break
        text = unescaped
    return text


def _repair_mojibake(text: str) -> str:
    return ftfy.fix_encoding(text) if ftfy.badness.is_bad(text) else text


def _is_not_composed(text: str) -> bool:
    return not unicodedata.is_normalized("NFC", text)


def _is_suspect(texts: pa.StringArray) -> pa.BooleanArray:
    """Where ftfy has to be asked whether there is mojibake; elsewhere there is none."""
    mask = _is_not_ascii(texts)
    return pc.replace_with_mask(mask, mask, pc.match_substring_regex(texts.filter(mask), _SUSPECT))


def _is_not_ascii(texts: pa.StringArray) -> pa.BooleanArray:
    return pc.invert(pc.string_is_ascii(texts))


def _test_where(texts: pa.StringArray, mask: pa.BooleanArray, predicate: Callable[[str], bool]) -> pa.BooleanArray:
    """Whether the predicate holds, asked only where the mask is set and false elsewhere."""
    found = pa.array([predicate(text) for text in texts.filter(mask).to_pylist()], pa.bool_())
    return pc.replace_with_mask(mask, mask, found)


def _apply_where(texts: pa.StringArray, mask: pa.BooleanArray, change: Callable[[str], str]) -> pa.StringArray:
    if not pc.any(mask).as_py():
        return texts
    changed = pa.array([change(text) for text in texts.filter(mask).to_pylist()], pa.string())
    return pc.replace_with_mask(texts, mask, changed)
