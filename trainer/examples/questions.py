"""The title that a question asks about, whatever the question's wording.

The rules, in order:
- Text in quotation marks is the title, unless a capitalised word or a number stands directly beside it: in `What is The
  "Best" Kettle?` the title is `The "Best" Kettle`.
- A question that wordings.toml knows is cut off, with polite words and nouns such as `the book` around the title.
- Its words must be written as in a sentence: `Tell Me About It` and `What Is Life` are titles. The words before the
  title may also begin with capitals where the text ends with a question mark; where the whole text is in capitals,
  case says nothing.
- A title from a question that is all in capitals is asked about in lower case, which a model knows better.
- Everything else is itself a title; so is a text of more than 4,000 characters.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from contract.text.clean import clean
from contract.text.invisible import VANISHING
from contract.text.profiles import Profile
from trainer.examples.wordings import AROUND, TITLE, WORDINGS, Language

_INVISIBLE: Final = re.compile(f"[{VANISHING}]")
_SINGLE: Final = "'‘’‚‹›`´"
_DOUBLE: Final = '"“”„«»'
_LONGEST: Final = 4_000
_END: Final = r"[\s?？.…]*"
_BEHIND_TITLE: Final = r"(?:\s*[:;,–—-]+\s*|[.!?]?\s+)"


@dataclass(frozen=True)
class Asked:
    """A cleaned title, and the language of the question; None where only the title was written."""

    title: str
    language: Language | None = None


def asked_about(question: str, profile: Profile) -> Asked:
    """The title in a question, cleaned as the profile says; a text that is no question is itself the title."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", html.unescape(html.unescape(question)))).strip()
    if len(text) > _LONGEST:
        return Asked(clean(text, profile))
    place, language = _place_of_title(text)
    quoted = _quoted(place, is_whole=language is None, is_shouted=text.isupper())
    if language and text.isupper():
        place = place.lower()
    return Asked(clean(quoted or place, profile) or clean(text, profile), language)


@dataclass(frozen=True)
class _Form:
    """A pattern of folded texts; the groups `before` and `after` are its words around the title."""

    pattern: re.Pattern[str]
    language: Language
    num_letters: int


def _place_of_title(text: str) -> tuple[str, Language | None]:
    """The part of a text where the title stands: all of it, if it is no question that is known."""
    folded = "".join(map(_fold, text))
    for form in _forms():
        match = form.pattern.match(folded)
        if match and _is_sentence(text, match):
            start, stop = match.span("title")
            last = re.split(r"[\s.]", folded[start:stop])[-1].lower()
            ends_with_stop = folded[stop : stop + 1] == "." and last in AROUND[form.language].abbreviations
            return text[start : stop + ends_with_stop], form.language
    return text, None


def _is_sentence(text: str, match: re.Match[str]) -> bool:
    """Whether the words of a question that matched are written as in a sentence, and not as in a title."""
    if text.isupper():
        return True
    before, after = (text[slice(*match.span(group))].split() for group in ("before", "after"))
    if after and after[0][0].isupper() and not match["gap"].strip():
        return False
    return text.endswith(("?", "？")) or not (_are_capitalised(before[1:]) or _are_capitalised(after[1:]))


def _are_capitalised(words: Sequence[str]) -> bool:
    return bool(words) and all(word[0].isupper() for word in words)


def _quoted(place: str, *, is_whole: bool, is_shouted: bool) -> str | None:
    """The text in quotation marks, if it is the title by the rule above."""
    for marks in (_DOUBLE, _SINGLE):
        whole = re.fullmatch(rf"[{marks}](.+)[{marks}][.,;]?", place, re.DOTALL)
        if whole:
            return whole[1]
        found = re.search(rf"(?:^|(?<=[\s(\[:,–—-]))[{marks}](.*?\S)\s*[{marks}](?=$|[\s?!.,;:)\]])", place, re.DOTALL)
        if found:
            before = re.search(r"(\S+)\s$", place[: found.start()])
            after = re.match(r"\s(\S+)", place[found.end() :])
            beside = [after[1]] if after else []
            begins_sentence = is_whole and before and not before.start() and place.endswith(("?", "？"))
            if before and not begins_sentence:
                beside.append(before[1])
            if is_shouted or not any(word[:1].isupper() or word[:1].isdigit() for word in beside):
                return found[1]
    return None


@cache
def _forms() -> tuple[_Form, ...]:
    """All ways to ask that wordings.toml knows, those of most letters first."""
    forms = [
        _form(template, wording.language)
        for wording in WORDINGS.values()
        if not wording.is_prompt
        for template in (wording.question, *wording.also)
    ]
    return tuple(sorted(forms, key=lambda form: -form.num_letters))


def _form(template: str, language: Language) -> _Form:
    around = AROUND[language]
    before, after = (re.findall(r"[\w']+", "".join(map(_fold, part))) for part in template.split(TITLE))
    polite = rf"(?:(?:{_any_of(around.before)})[\s,.!:;–—-]+){{0,4}}"
    nouns = rf"(?-i:(?:{_any_of(around.nouns)})[\s:,]+(?=\W*[A-Z0-9]))?"
    thanks = rf"(?:\s*,\s*(?:{_any_of(around.after)})|\s+(?-i:{_any_of(around.after)})){{0,3}}"
    gap = r"\s*[:,–—-]?\s+" if before else ""
    opening = rf"(?P<before>{_words(before)}){gap}{nouns}"
    closing = rf"(?P<gap>{_BEHIND_TITLE if after else ''})(?P<after>{_words(after)})"
    pattern = rf"\W{{0,3}}?{polite}{opening}(?P<title>\S.*?){closing}{thanks}{_END}$"
    letters = sum(map(len, before + after))
    return _Form(re.compile(pattern, re.IGNORECASE | re.DOTALL), language, letters)


def _any_of(texts: Iterable[str]) -> str:
    folded = sorted(("".join(map(_fold, text)) for text in texts), key=len, reverse=True)
    return "|".join(_words(text.split()) for text in folded)


def _words(words: Iterable[str]) -> str:
    return r"[\s,.!?:;–—-]+".join(map(re.escape, words))


def _fold(character: str) -> str:
    """A character without its accent, one of the straight quotation marks, or a plain blank."""
    if character in "‘’`´":
        return "'"
    return " " if character.isspace() else unicodedata.normalize("NFD", character)[0]
