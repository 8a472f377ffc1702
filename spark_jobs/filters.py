"""Which records are worth training on, judged by their cleaned texts. All filters are off by default.

A new filter is a row of FILTERS and a field of Filters; its reason and its setting stand in contract/reasons.py and
spark_jobs/config.py.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import UserError, unknown_name
from contract.installation import install_text
from contract.reasons import KEPT, REASON_CODE
from contract.text.words import part_words

# Phrases are runs of three words; in scripts without blanks between words, each letter is a word. A content whose share
# of different phrases is below this repeats itself: ordinary descriptions have over 0.9, `test item not to bid` twenty
# times over has 0.05.
MIN_DIFFERENT_PHRASES: Final = 0.4
_PHRASE_WORDS: Final = 3
_MIN_WORDS: Final = 12
# The language of shorter texts cannot be known.
MIN_LANGUAGE_CHARS: Final = 40
_LANGUAGE_SAMPLE_CHARS: Final = 1_000
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True)
class Filters:
    """Which records to reject besides those without a text: settings of the same names. Lengths are in characters."""

    min_title_chars: int | None = None
    max_title_chars: int | None = None
    min_content_chars: int | None = None
    max_content_chars: int | None = None
    drop_repeated_titles: bool = False
    drop_repeated_phrases: bool = False
    languages: str | None = None  # ISO 639-1, with commas between


def filter_records(
    titles: pa.StringArray, contents: pa.StringArray, *, reasons: np.ndarray, filters: Filters
) -> np.ndarray:
    """The reasons (int8, changed in place), with those of the filters for records that were kept so far."""
    for row in FILTERS:
        if row.is_on(filters):
            rows = np.flatnonzero(reasons == KEPT)
            is_junk = row.is_junk(titles.take(rows), contents.take(rows), filters)
            reasons[rows[is_junk]] = REASON_CODE[row.reason]
    return reasons


class _Filter(NamedTuple):
    """One filter: its reason, whether it is on, and which of some records (titles, contents) it rejects."""

    reason: str
    is_on: Callable[[Filters], object]
    is_junk: Callable[[pa.StringArray, pa.StringArray, Filters], np.ndarray]


def repeats_title(title: str, content: str) -> bool:
    """Whether the content only repeats the title: all of its words, once or several times, or some in a row.

    >>> repeats_title("Red Mug", "red mug. Red mug"), repeats_title("Red Mug, large", "Red Mug")
    (True, True)
    >>> repeats_title("Red Mug", "Red mug for tea")
    False
    """
    [said], [words] = (part_words(pa.array([text], pa.string())).to_pylist() for text in (content, title))
    return _repeats_words(words, said)


def _repeats_words(title: str, content: str) -> bool:
    """`repeats_title` of texts with blanks between words."""
    words, said_text = _words(title), content.lower()
    first = _WORD.search(said_text)
    if first and first[0] not in words:  # so it is for most contents, and a tenth of the work
        return False
    said = _WORD.findall(said_text)
    if len(said) <= len(words):
        return any(words[start : start + len(said)] == said for start in range(len(words) - len(said) + 1))
    return bool(words) and len(said) % len(words) == 0 and words * (len(said) // len(words)) == said


def repeats_phrases(content: str) -> bool:
    """Whether a content consists of a few phrases, repeated.

    >>> repeats_phrases("test item not to bid " * 20)
    True
    """
    return _has_few_phrases(part_words(pa.array([content], pa.string()))[0].as_py())


def _has_few_phrases(content: str) -> bool:
    """`repeats_phrases` of a text with blanks between words."""
    words = content.lower().split()
    if len(words) < _MIN_WORDS:
        return False
    most = MIN_DIFFERENT_PHRASES * (len(words) - _PHRASE_WORDS + 1)
    if len(set(words)) >= most + _PHRASE_WORDS:  # each phrase adds at most one word to the words of the first
        return False
    return len(set(zip(words, words[1:], words[2:], strict=False))) < most


def languages_of(filters: Filters) -> list[str]:
    """The languages to keep, as ISO 639-1 codes; none for all."""
    return filters.languages.split(",") if filters.languages else []


def require_languages(languages: Sequence[str]) -> None:
    """UserError where the language detector is not installed or does not know one of these languages."""
    try:
        known = _detector().labels
    except ImportError as error:
        raise UserError(
            f"languages needs the detector py3langid, which is not installed; {install_text('languages')}"
        ) from error
    if unknown := [language for language in languages if language not in known]:
        raise UserError("; ".join(str(unknown_name("language", language, known)) for language in unknown))


def _each(predicate: Callable[[str, str], bool], titles: pa.StringArray, contents: pa.StringArray) -> np.ndarray:
    pairs = zip(titles.to_pylist(), contents.to_pylist(), strict=True)
    return np.array([predicate(title, content) for title, content in pairs], bool)


def _has_wrong_length(texts: pa.StringArray, least: int | None, most: int | None) -> np.ndarray:
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    return (lengths < (least or 0)) | (lengths > (most or np.inf))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _is_in_another_language(titles: pa.StringArray, contents: pa.StringArray, filters: Filters) -> np.ndarray:
    """Whether the language of each text is none of those that are kept; the start of a long text decides."""
    kept = languages_of(filters)

    def is_another(title: str, content: str) -> bool:
        text = f"{title} {content}"[:_LANGUAGE_SAMPLE_CHARS]
        return len(text) >= MIN_LANGUAGE_CHARS and _detector().classify(text)[0] not in kept

    return _each(is_another, titles, contents)


@cache
def _detector() -> Any:
    """py3langid's identifier, which has no types."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


# In the order of contract.reasons: a record is rejected for the first reason that applies.
FILTERS: Final = (
    _Filter(
        "title_length",
        lambda on: on.min_title_chars or on.max_title_chars,
        lambda titles, _, on: _has_wrong_length(titles, on.min_title_chars, on.max_title_chars),
    ),
    _Filter(
        "content_length",
        lambda on: on.min_content_chars or on.max_content_chars,
        lambda _, contents, on: _has_wrong_length(contents, on.min_content_chars, on.max_content_chars),
    ),
    _Filter(
        "repeats_title",
        lambda on: on.drop_repeated_titles,
        lambda titles, contents, _: _each(_repeats_words, part_words(titles), part_words(contents)),
    ),
    _Filter(
        "repeated_phrase",
        lambda on: on.drop_repeated_phrases,
        lambda titles, contents, _: _each(lambda _, content: _has_few_phrases(content), titles, part_words(contents)),
    ),
    _Filter("language", lambda on: on.languages, _is_in_another_language),
)
