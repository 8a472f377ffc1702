"""Token ids to text while they come: whole characters only, and nothing that a stop text could still take away."""

from collections.abc import Sequence
from typing import Final, Protocol

_INCOMPLETE: Final = "\ufffd"  # how a tokenizer decodes bytes that are no character, or not yet one


class Decoder(Protocol):
    """A tokenizer of the package `tokenizers`."""

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text of these tokens."""


class TextStream:
    """The text of one answer. Each token costs the decoding of a few tokens before it, whatever the length.

    Tokens are decoded together with those before them, since many decode otherwise alone: the first one of a text
    loses its blank, and a character may be spread over several.
    """

    def __init__(self, decoder: Decoder, *, stop: Sequence[str] = ()) -> None:
        self._decoder, self._stop = decoder, stop
        self._ids: list[int] = []  # from a token on whose text has been given out
        self._num_given = 0  # of these, those whose text has been given out
        self._held = ""  # the start of a stop text, perhaps
        self.is_stopped = False

    def push(self, token_id: int) -> str:
        """The text that is certain now and was not before; `is_stopped` is true once a stop text has come."""
        self._ids.append(token_id)
        before, now = self._decode(self._ids[: self._num_given]), self._decode(self._ids)
        if now.endswith(_INCOMPLETE) or not now.startswith(before):
            return ""
        if now != before:  # a window of special tokens alone would decode the next token as the first one of a text
            self._ids = self._ids[self._num_given :]
        self._num_given = len(self._ids)
        return self._without_stop(now[len(before) :])

    def finish(self) -> str:
        """The text that was held back; a character that is not complete is left out."""
        before, now = self._decode(self._ids[: self._num_given]), self._decode(self._ids)
        rest = now[len(before) :].rstrip(_INCOMPLETE) if now.startswith(before) else ""
        text = self._without_stop(rest)
        held, self._held = self._held, ""
        return text if self.is_stopped else text + held

    def _decode(self, ids: Sequence[int]) -> str:
        return self._decoder.decode(ids, skip_special_tokens=True) if ids else ""

    def _without_stop(self, text: str) -> str:
        """The part of the text, after what is held, that no stop text can include any more."""
        text = self._held + text
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if found:
            self.is_stopped, self._held = True, ""
            return text[: min(found)]
        num_held = max((_num_begun(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - num_held :]
        return text[: len(text) - num_held]


def _num_begun(text: str, stop: str) -> int:
    """Characters at the end of the text with which the stop text begins.

    >>> _num_begun("one, tw", "two"), _num_begun("one", "two")
    (2, 0)
    """
    longest = min(len(text), len(stop) - 1)
    return next((num for num in range(longest, 0, -1) if text.endswith(stop[:num])), 0)
