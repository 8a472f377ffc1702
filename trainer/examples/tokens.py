"""Titles and contents to token ids: the ids of the base's own tokenizer, several times as fast where that is possible.

The short cut for texts (`_Words`) encodes each word by itself and keeps the result, because most words come again.
Where it does not apply, the tokenizer encodes whole texts (`_Texts`). It applies only if all of this is read from the
tokenizer's description (`_is_word_by_word`):
- a BPE of the SentencePiece kind, which spells a blank as `▁`, without dropout and without marks inside words;
- no token has a `▁` behind another character, so that no token reaches from one word into the next;
- the tokenizer cuts and changes texts nowhere else, and has no added tokens but special ones.
A text with two blanks in a row, or with a `▁` of its own, is always encoded whole. A process keeps at most 200,000
words, some 50 MB, and none of more than 40 characters.

The short cut for prompts (`_PromptInParts`) encodes only the title and what stands directly beside it. It applies only
if sample titles get the ids of the whole prompt; else whole prompts are encoded (`_WholePrompt`).

No text from the data is read as a special token, whatever it spells.
"""

import itertools
import json
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from tokenizers import Tokenizer
from tokenizers.models import Model

from trainer.examples.prompt import PromptForm
from trainer.examples.tokenizer import BaseTokenizer

IDS: Final = "i"  # type code of ids in an array: 4 bytes each; in a list they take nine times as much
Ids: TypeAlias = "array[int]"
_BLANK: Final = "▁"  # as SentencePiece spells it
_MAX_WORDS: Final = 200_000  # the frequent words come first, since records are in random order
_MAX_WORD_CHARS: Final = 40  # longer ones hardly come again


class TextEncoder(Protocol):
    """Turns texts into ids."""

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text by itself."""

    def encode_behind(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text where it follows a token that does not join with it; it may begin with a blank."""


def text_encoder(tokenizer: BaseTokenizer) -> TextEncoder:
    """The fastest encoder of texts that gives this tokenizer's ids."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())  # a copy: others use this tokenizer too
    backend.encode_special_tokens = True  # as ordinary text
    backend.no_truncation()
    backend.no_padding()
    parts = json.loads(backend.to_str())
    return _Words(backend, doubles_blank=_has_prepend(parts)) if _is_word_by_word(parts) else _Texts(backend)


class PromptEncoder:
    """Encodes prompts of several forms, as fast as possible with this tokenizer's ids."""

    def __init__(self, tokenizer: BaseTokenizer, forms: Sequence[PromptForm], texts: TextEncoder) -> None:
        self._texts = texts
        self._cased = [form.cased for form in forms]
        self._tokenizer: BaseTokenizer | None = tokenizer
        self._of_text = forms
        self._forms: dict[int, _PromptInParts | _WholePrompt] = {}

    def __getstate__(self) -> dict[str, Any]:
        """All forms, and no tokenizer of transformers, which another process would need torch for."""
        self.all_forms()
        return self.__dict__ | {"_tokenizer": None}

    def all_forms(self) -> "list[_PromptInParts | _WholePrompt]":
        """How each form is encoded."""
        return [self._form(number) for number in range(len(self._of_text))]

    def _form(self, number: int) -> "_PromptInParts | _WholePrompt":
        """A form as it is encoded; found out when it is first used, which takes some 10 ms."""
        if number not in self._forms:
            tokenizer, form = self._tokenizer, self._of_text[number]
            assert tokenizer is not None
            self._forms[number] = _in_parts(tokenizer, form, self._texts) or _whole(tokenizer, form)
        return self._forms[number]

    def encode(self, titles: Sequence[str], numbers: Iterable[int]) -> list[Ids]:
        """The ids of the prompt for each title, in the form of that number."""
        numbers = list(numbers)
        forms = [self._form(number) for number in numbers]
        titles = [self._cased[number](title) for number, title in zip(numbers, titles, strict=True)]
        middles = self._texts.encode_behind([form.middle(title) for form, title in zip(forms, titles, strict=True)])
        return [form.prompt(title, middle) for form, title, middle in zip(forms, titles, middles, strict=True)]


@dataclass(frozen=True)
class _PromptInParts:
    """A prompt of which only the middle, from `begin` over the title to `end`, has to be encoded."""

    before: Ids
    begin: str
    end: str
    after: Ids

    def middle(self, title: str) -> str:
        return f"{self.begin}{title}{self.end}"

    def prompt(self, title: str, middle: Ids) -> Ids:  # noqa: ARG002  # as of a whole prompt
        return self.before + middle + self.after


@dataclass(frozen=True)
class _WholePrompt:
    """A prompt that is encoded whole, which is slow. Where a title would be read as a special token, in three parts."""

    tokenizer: BaseTokenizer
    form: PromptForm
    special: frozenset[int]
    own_special: list[int]  # of a prompt whose title spells none

    def middle(self, title: str) -> str:
        return title

    def prompt(self, title: str, middle: Ids) -> Ids:
        ids = array(IDS, _ids(self.tokenizer, self.form.prompt(title)))
        if [each for each in ids if each in self.special] == self.own_special:
            return ids
        before, after = (array(IDS, _ids(self.tokenizer, text)) for text in (self.form.before, self.form.after))
        return before + middle + after


def _whole(tokenizer: BaseTokenizer, form: PromptForm) -> _WholePrompt:
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    special = frozenset(number for number, token in added.items() if token.special)
    own = [each for each in _ids(tokenizer, form.prompt(_SAMPLES[0])) if each in special]
    return _WholePrompt(tokenizer, form, special, own)


def _in_parts(tokenizer: BaseTokenizer, form: PromptForm, texts: TextEncoder) -> _PromptInParts | None:
    """The prompt cut on both sides of the title, at the next blank, line feed or special token; None if none fits.

    Some tokenizers join a line feed to what is before it, and some put a blank behind a special token.
    """
    wholes = [(form.cased(title), array(IDS, _ids(tokenizer, form.prompt(title)))) for title in _SAMPLES]
    specials = "|".join(map(re.escape, tokenizer.all_special_tokens))
    for marks, blank in itertools.product((f" |\n|{specials}", f" |{specials}"), ("", " ")):
        begin = re.split(marks, form.before)[-1]
        end = re.split(marks, form.after, maxsplit=1)[0]
        before = form.before.removesuffix(begin)
        begin = f"{' ' * before.endswith(' ')}{blank}{begin}"
        first = array(IDS, _ids(tokenizer, before.removesuffix(" ")))
        afters = set()
        for title, ids in wholes:
            start = first + texts.encode_behind([f"{begin}{title}{end}"])[0]
            afters.add(tuple(ids[len(start) :]) if ids[: len(start)] == start else None)
        after = afters.pop()
        if after is not None and not afters:
            return _PromptInParts(first, begin, end, array(IDS, after))
    return None


_SAMPLES: Final = ("Red Kettle 10 cm", "(42), 2nd edition", "É", "Monsters, Inc.", "5,", "a")


class _Texts:
    """Encodes whole texts."""

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        found = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [array(IDS, encoding.ids) for encoding in found]

    def encode_behind(self, texts: Sequence[str]) -> list[Ids]:
        return self.encode(texts)


class _Words:
    """Encodes word by word, and keeps the ids of words."""

    def __init__(self, backend: Tokenizer, *, doubles_blank: bool) -> None:
        self._model = backend.model  # which knows nothing of special tokens
        self._known = _KnownWords(self._model, blank=_BLANK)
        self._known_firsts = _KnownWords(self._model, blank="")
        self._doubles_blank = doubles_blank  # the tokenizer puts a blank before a text that begins with one

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        return [self._encode(self._without_first_blank(text)) if text else array(IDS) for text in texts]

    def encode_behind(self, texts: Sequence[str]) -> list[Ids]:
        return [self._encode(text[1:]) if text[:1] == " " else self._encode_joined(text) for text in texts]

    def _without_first_blank(self, text: str) -> str:
        return text if self._doubles_blank or text[0] not in (" ", _BLANK) else text[1:]

    def _encode(self, text: str) -> Ids:
        """Ids of a text with a blank before it."""
        if text[:1] == " " or "  " in text or _BLANK in text:  # `split` would cut tokens of several blanks
            return array(IDS, _word_ids(self._model, _BLANK + text.replace(" ", _BLANK)))
        ids = array(IDS)
        ids.frombytes(b"".join(map(self._known.__getitem__, text.split(" "))))
        return ids

    def _encode_joined(self, text: str) -> Ids:
        """Ids of a text without a blank before it."""
        first, blank, rest = text.partition(" ")
        if _BLANK in first:
            return array(IDS, _word_ids(self._model, text.replace(" ", _BLANK)))
        ids = array(IDS)
        ids.frombytes(self._known_firsts[first])
        return ids + self._encode(rest) if blank else ids


class _KnownWords(dict[str, bytes]):
    """The ids of words, with `blank` before them, as bytes of an array: joining those costs 0.1 us a word."""

    def __init__(self, model: Model, *, blank: str) -> None:
        super().__init__()
        self._model, self._blank = model, blank

    def __missing__(self, word: str) -> bytes:
        ids = array(IDS, _word_ids(self._model, self._blank + word)).tobytes()
        if len(self) < _MAX_WORDS and len(word) <= _MAX_WORD_CHARS:
            self[word] = ids
        return ids


def _word_ids(model: Model, word: str) -> list[int]:
    return [token.id for token in model.tokenize(word)]


def _ids(tokenizer: BaseTokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _is_word_by_word(parts: dict[str, Any]) -> bool:
    """Whether the ids of a text are those of its words, each with the blank before it.

    Each merge makes a token of the vocabulary. So if no token has a blank behind another character, no merge reaches
    from one word into the next, and merges in different words do not change each other.
    """
    model = parts["model"]
    return (
        model["type"] == "BPE"
        and not any(model.get(name) for name in _CHANGES_WORDS)
        and (_has_prepend(parts) or _has_metaspace(parts))
        and all(token["special"] for token in parts["added_tokens"])
        and _BLANK in model["vocab"]
        and not any(_BLANK in token.lstrip(_BLANK) for token in model["vocab"])
    )


_CHANGES_WORDS: Final = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")


def _has_prepend(parts: dict[str, Any]) -> bool:
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": _BLANK}
    prepend = {"type": "Prepend", "prepend": _BLANK}
    is_normalised = parts["normalizer"] == {"type": "Sequence", "normalizers": [prepend, replace]}
    return is_normalised and parts["pre_tokenizer"] is None


def _has_metaspace(parts: dict[str, Any]) -> bool:
    cut = parts["pre_tokenizer"] or {}
    is_plain = cut.get("type") == "Metaspace" and cut["replacement"] == _BLANK and not cut["split"]
    return is_plain and cut["prepend_scheme"] in ("first", "always") and parts["normalizer"] is None
