"""Texts from data to token ids, many at a time: the ids that the base's tokenizer gives, but several times as fast.

No text from data is read as a special token, whatever it spells. SentencePiece's BPE takes a whole text for one word,
and whole texts never repeat. Where no token reaches from the end of a word over the blank behind it, each word can be
encoded for itself, and most of them have been met before. Whether that holds is read from the tokenizer.
"""

import json
from array import array
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from tokenizers import Tokenizer
from tokenizers.models import Model
from transformers import PreTrainedTokenizerBase

IDS: Final = "i"  # type code of ids in an array: 4 bytes each; in a list they take nine times as much
Ids: TypeAlias = "array[int]"
_BLANK: Final = "▁"  # as SentencePiece spells it
_MAX_WORDS: Final = 200_000  # some 50 MB; in random order the frequent words come first
_MAX_WORD_CHARS: Final = 40  # longer ones hardly come again


class TextEncoder(Protocol):
    """What turns texts into ids."""

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text by itself."""

    def encode_after_blank(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text where it stands behind a word and a blank; those of the blank are among them."""


def text_encoder(tokenizer: PreTrainedTokenizerBase) -> TextEncoder:
    """The fastest that this tokenizer allows."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())  # a copy: others use this tokenizer too
    backend.encode_special_tokens = True  # as ordinary text
    backend.no_truncation()
    backend.no_padding()
    parts = json.loads(backend.to_str())
    return _Words(backend, doubles_blank=_has_prepend(parts)) if _is_word_by_word(parts) else _Texts(backend)


class _Texts:
    """Encodes whole texts."""

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        found = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [array(IDS, encoding.ids) for encoding in found]

    def encode_after_blank(self, texts: Sequence[str]) -> list[Ids]:
        return self.encode([f" {text}" for text in texts])


class _Words:
    """Encodes word by word, and remembers the words."""

    def __init__(self, backend: Tokenizer, *, doubles_blank: bool) -> None:
        self._model = backend.model  # which knows nothing of special tokens
        self._known = _KnownWords(self._model)
        self._doubles_blank = doubles_blank  # that a text begins with

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        return [self._encode(self._without_first_blank(text)) if text else array(IDS) for text in texts]

    def encode_after_blank(self, texts: Sequence[str]) -> list[Ids]:
        return [self._encode(text) for text in texts]

    def _without_first_blank(self, text: str) -> str:
        return text if self._doubles_blank or text[0] not in (" ", _BLANK) else text[1:]

    def _encode(self, text: str) -> Ids:
        """Ids of a text with a blank before it."""
        if text[:1] == " " or "  " in text or _BLANK in text:  # `split` would cut tokens of several blanks
            return array(IDS, _word_ids(self._model, text.replace(" ", _BLANK)))
        ids = array(IDS)
        ids.frombytes(b"".join(map(self._known.__getitem__, text.split(" "))))
        return ids


class _KnownWords(dict[str, bytes]):
    """The ids of words with a blank before them, as bytes of an array: joining those costs 0.1 us a word."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, word: str) -> bytes:
        ids = array(IDS, _word_ids(self._model, word)).tobytes()
        if len(self) < _MAX_WORDS and len(word) <= _MAX_WORD_CHARS:
            self[word] = ids
        return ids


def _word_ids(model: Model, word: str) -> list[int]:
    return [token.id for token in model.tokenize(_BLANK + word)]


def _is_word_by_word(parts: dict[str, Any]) -> bool:
    """Whether the ids of a text are those of its words, each with the blank before it.

    A merge makes a token of the vocabulary. If none has a blank behind another character, no merge reaches from a word
    into the next, and merges that lie apart do not touch each other. Blanks must also be the only place where the
    tokenizer itself cuts or adds.
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
