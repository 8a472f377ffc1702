"""Which records are worth learning, judged by their cleaned texts. Off by default; each has a reason of its own."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import UserError, unknown_name
from contract.reasons import KEPT, REASON_CODE

# Phrases are runs of three words. Where less than this share of them are different ones, a content repeats itself:
# ordinary descriptions have over 0.9, `test item not to bid` twenty times over has 0.05.
MIN_DIFFERENT_PHRASES: Final = 0.4
_PHRASE_WORDS: Final = 3
_MIN_WORDS: Final = 12
# Shorter texts do not tell their language.
MIN_LANGUAGE_CHARS: Final = 40
_LANGUAGE_SAMPLE_CHARS: Final = 1_000


@dataclass(frozen=True)
class Filters:
    """What to reject beside what cannot be learnt from. Lengths are in characters of the cleaned text."""

    min_title_chars: int = 1
    max_title_chars: int | None = None
    min_content_chars: int = 1
    max_content_chars: int | None = None
    repeated_titles: bool = False
    repeated_phrases: bool = False
    languages: tuple[str, ...] = ()  # ISO 639-1; none for all


def filter_records(
    titles: pa.StringArray, contents: pa.StringArray, *, reasons: np.ndarray, filters: Filters
) -> np.ndarray:
    """The reasons (int8), with those of the filters for records that were kept so far."""
    checks: list[tuple[str, bool, Callable[[pa.StringArray, pa.StringArray], np.ndarray]]] = [
        (
            "title_length",
            filters.min_title_chars > 1 or filters.max_title_chars is not None,
            lambda titles, _: _has_wrong_length(titles, filters.min_title_chars, filters.max_title_chars),
        ),
        (
            "content_length",
            filters.min_content_chars > 1 or filters.max_content_chars is not None,
            lambda _, contents: _has_wrong_length(contents, filters.min_content_chars, filters.max_content_chars),
        ),
        ("repeats_title", filters.repeated_titles, _each(repeats_title)),
        ("repeated_phrase", filters.repeated_phrases, _each(lambda _, content: repeats_phrases(content))),
        (
            "language",
            bool(filters.languages),
            _each(lambda title, content: _is_foreign(f"{title} {content}", filters.languages)),
        ),
    ]
    for reason, is_on, is_junk in checks:
        if is_on:
            places = np.flatnonzero(reasons == KEPT)
            reasons[places[is_junk(titles.take(places), contents.take(places))]] = REASON_CODE[reason]
    return reasons


def repeats_title(title: str, content: str) -> bool:
    """Whether the content says nothing beyond the title: the same words, over and over or not all of them.

    >>> repeats_title("Red Mug", "red mug. Red mug"), repeats_title("Red Mug, large", "Red Mug")
    (True, True)
    >>> repeats_title("Red Mug", "Red mug for tea")
    False
    """
    said, words = _words(content), _words(title)
    if len(said) <= len(words):
        return any(words[start : start + len(said)] == said for start in range(len(words) - len(said) + 1))
    return bool(words) and len(said) % len(words) == 0 and words * (len(said) // len(words)) == said


def repeats_phrases(content: str) -> bool:
    """Whether a content is a few phrases over and over.

    >>> repeats_phrases("test item not to bid " * 20)
    True
    """
    words = content.lower().split()
    if len(words) < _MIN_WORDS:
        return False
    most = MIN_DIFFERENT_PHRASES * (len(words) - _PHRASE_WORDS + 1)
    if len(set(words)) >= most + _PHRASE_WORDS:  # each phrase adds one word at most to those of the first
        return False
    return len(set(zip(words, words[1:], words[2:], strict=False))) < most


def require_languages(languages: tuple[str, ...]) -> None:
    """UserError where the language detector is not installed or does not know one of these."""
    try:
        known = _detector().labels
    except ImportError as error:
        raise UserError(
            "languages needs the detector py3langid, which is not installed; from the project's folder:"
            " pip install '.[languages]'"
        ) from error
    if unknown := [language for language in languages if language not in known]:
        raise UserError("; ".join(str(unknown_name("language", language, known)) for language in unknown))


def _each(predicate: Callable[[str, str], bool]) -> Callable[[pa.StringArray, pa.StringArray], np.ndarray]:
    def test(titles: pa.StringArray, contents: pa.StringArray) -> np.ndarray:
        pairs = zip(titles.to_pylist(), contents.to_pylist(), strict=True)
        return np.array([predicate(title, content) for title, content in pairs], bool)

    return test


def _has_wrong_length(texts: pa.StringArray, shortest: int, longest: int | None) -> np.ndarray:
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    return (lengths < shortest) | (lengths > (np.inf if longest is None else longest))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _is_foreign(text: str, languages: tuple[str, ...]) -> bool:
    text = text[:_LANGUAGE_SAMPLE_CHARS]
    return len(text) >= MIN_LANGUAGE_CHARS and _detector().classify(text)[0] not in languages


@cache
def _detector() -> Any:
    """py3langid's identifier, which has no types."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
