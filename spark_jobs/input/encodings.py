"""Texts of other encodings as UTF-8."""

import codecs
import re
from typing import IO, Final

from contract.errors import UserError

_UTF_8: Final = "utf-8"
_MARKS: Final = (  # the first that fits: a mark of UTF-16 is the start of one of UTF-32
    (codecs.BOM_UTF8, _UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_TYPOGRAPHY: Final = frozenset("‘’‚“”„‹›«»–—…•·€£¥¢©®™°ºª¹²³¼½¾±×÷§¶¿¡´¨\xa0\xad")
_UNUSUAL: Final = frozenset("ÃÿŸ")  # found in UTF-8 that is broken, and in bytes of all kinds
_BEYOND_ASCII: Final = re.compile(r"[^\W\d_a-zA-Zºª]")
_BESIDE_ASCII: Final = re.compile(r"(?<=[a-zA-Z])[^\W\d_a-zA-Z]+|[^\W\d_a-zA-Z]+(?=[a-zA-Z])")
_FEWEST_LETTERS: Final = 4  # by which UTF-16 is told from bytes that happen to be zero
_STEP_BYTES: Final = 2**16
_ERRORS: Final = "to bytes that are not UTF-8"
_BAD: Final = "\udc80"  # a lone surrogate: its bytes are not UTF-8


def require_encoding(name: str) -> None:
    """UserError where there is no encoding of texts of this name."""
    try:
        "".encode(name)
    except (LookupError, UnicodeError, ValueError) as error:
        raise UserError(
            f"encoding = {name!r}, expected the name of an encoding, such as cp1252, latin-1, utf-16 or shift_jis"
        ) from error


def is_utf8_by_name(encoding: str | None) -> bool:
    """Whether a text of this encoding needs no decoding; so do texts that say nothing.

    >>> is_utf8_by_name("UTF8"), is_utf8_by_name("utf-8-sig"), is_utf8_by_name(None), is_utf8_by_name("latin-1")
    (True, True, True, False)
    """
    return encoding is None or codecs.lookup(encoding).name in (_UTF_8, "utf-8-sig")


def encoding_of(start: bytes, *, asked: str | None) -> str:
    """The encoding of a text that begins so: that of its mark, or else the one that is asked for."""
    marked = next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)
    return marked or (_UTF_8 if is_utf8_by_name(asked) else str(asked))


def encoding_without_mark(start: bytes) -> str | None:
    """UTF-16 where a text of it begins so without a byte order mark; its first letters are those of ASCII.

    >>> [encoding_without_mark("id,title".encode(name)) for name in ("utf-16-le", "utf-16-be", "utf-16", "ascii")]
    ['utf-16-le', 'utf-16-be', None, None]
    """
    even, odd = start[:16:2], start[1:16:2]
    if len(odd) < _FEWEST_LETTERS:
        return None
    if not any(odd):
        return "utf-16-le" if all(even) else None
    return "utf-16-be" if all(odd) and not any(even) else None


def guess_encoding(text: bytes) -> str | None:
    """The encoding that a text which is not UTF-8 is likely to have; None where that is not clear.

    It is cp1252 where all that is not ASCII would then be letters or typography, most letters beside one of ASCII.

    >>> guess_encoding("Café da manhã – 5 €".encode("cp1252")), guess_encoding("чайник".encode("koi8-r"))
    ('cp1252', None)
    """
    try:
        characters = text.decode("cp1252")
    except UnicodeDecodeError:
        return None
    is_usual = all(sign.isascii() or sign.isalpha() or sign in _TYPOGRAPHY for sign in characters)
    letters = _BEYOND_ASCII.findall(characters)
    num_beside = sum(len(run) for run in _BESIDE_ASCII.findall(characters))
    return "cp1252" if is_usual and 2 * num_beside >= len(letters) and not _UNUSUAL & set(characters) else None


class Utf8Stream:
    """A stream of texts in another encoding, read as UTF-8.

    A byte that means nothing in that encoding becomes one that is not UTF-8, so that readers find its line.
    """

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(_ERRORS)
        self._pending = b""
        self._has_ended = False

    def read(self, size: int) -> bytes:
        """At most `size` bytes; no bytes only at the end."""
        while not self._pending and not self._has_ended:
            data = self._stream.read(min(size, _STEP_BYTES))
            self._has_ended = not data
            self._pending = self._decoder.decode(data, final=not data).encode(_UTF_8, "surrogatepass")
        data, self._pending = self._pending[:size], self._pending[size:]
        return data


def _mark_as_bad(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _BAD, error.end


codecs.register_error(_ERRORS, _mark_as_bad)
