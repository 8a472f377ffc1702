"""Many texts as one run of bytes: one pass over it costs far less than a call for each text.

The texts are UTF-8, each followed by SEPARATOR, a byte that UTF-8 never uses.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SEPARATOR: Final = b"\xff"
BLANK: Final = ord(" ")
_PADDING: Final = SEPARATOR * 3  # so that four bytes can be read at the start of the last character


def bytes_of(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """All texts as one array of UTF-8 bytes, which is not copied, and [texts + 1] offsets into it (int32)."""
    if not len(texts):
        return np.zeros(0, np.uint8), np.zeros(1, np.int32)
    _, offsets_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]


def join(texts: pa.StringArray) -> bytes:
    """The texts, none of them null, each followed by a separator."""
    if not len(texts):
        return b""
    whole = pa.ListArray.from_arrays([0, len(texts)], texts.view(pa.binary()))
    return pc.binary_join(whole, SEPARATOR)[0].as_py() + SEPARATOR


def split(joined: bytes) -> pa.StringArray:
    """The texts of joined bytes."""
    ends = _ends(joined)
    return _array(joined.translate(None, SEPARATOR), ends - np.arange(len(ends)))


def change_texts(joined: bytes, offsets: np.ndarray, change: Callable[[pa.StringArray], pa.StringArray]) -> bytes:
    """The joined bytes after `change` of the texts that hold the bytes at `offsets`."""
    if not len(offsets):
        return joined
    ends = _ends(joined)
    chosen = np.unique(np.searchsorted(ends, offsets))
    bounds = list(zip(np.where(chosen, ends[chosen - 1] + 1, 0).tolist(), ends[chosen].tolist(), strict=True))
    texts = pa.array([joined[start:end] for start, end in bounds], pa.binary()).view(pa.string())
    pieces, position = [], 0
    for (start, end), text in zip(bounds, change(texts), strict=True):
        pieces += [joined[position:start], text.as_buffer().to_pybytes()]
        position = end
    return b"".join([*pieces, joined[position:]])


def texts_at(joined: bytes, offsets: np.ndarray) -> np.ndarray:
    """Indices, ascending and each once, of the texts that hold the bytes at `offsets`."""
    if not len(offsets):
        return offsets
    return np.unique(np.searchsorted(_ends(joined), offsets))


def replace_pieces(
    joined: bytes, first: bytes, replacement_at: Callable[[bytes, int], tuple[bytes, int] | None]
) -> bytes:
    """The joined bytes with some pieces replaced that begin with the byte `first`.

    `replacement_at(joined, offset)` says what stands in place of the piece that begins there, and where the piece ends;
    None if no piece begins there. Where `first` is rare, this is much faster than to search by `re`.
    """
    pieces, start, offset = [], 0, joined.find(first)
    while offset >= 0:
        if found := replacement_at(joined, offset):
            pieces += [joined[start:offset], found[0]]
            start = found[1]
        offset = joined.find(first, max(start, offset + 1))
    return b"".join([*pieces, joined[start:]]) if pieces else joined


def _ends(joined: bytes) -> np.ndarray:
    """The offset of each text's separator."""
    return np.flatnonzero(np.frombuffer(joined, np.uint8) == SEPARATOR[0])


@dataclass(frozen=True)
class BeyondAscii:
    """The characters beyond ASCII in a run of bytes, in order."""

    data: np.ndarray  # uint8, padded
    starts: np.ndarray  # offsets of their first bytes
    codes: np.ndarray  # code points

    @cached_property
    def ends(self) -> np.ndarray:
        """The offset of the byte after each character."""
        return self.starts + 2 + (self.codes >= 0x800) + (self.codes >= 0x10000)

    @property
    def next_bytes(self) -> np.ndarray:
        """The byte after each character."""
        return self.data[self.ends]

    @property
    def touches_next(self) -> np.ndarray:
        """Whether the next character beyond ASCII follows directly; [len - 1]."""
        return self.ends[:-1] == self.starts[1:]


def beyond_ascii(joined: bytes) -> BeyondAscii:
    """The characters of these bytes that are not ASCII. The bytes must be whole UTF-8 characters and separators."""
    data = np.frombuffer(joined + _PADDING, np.uint8)
    starts = np.flatnonzero(data[: len(joined)] - np.uint8(0xC0) < 0x3F)  # wraps round: 0xC0 to 0xFE
    first, second, third, fourth = (data[starts + offset].astype(np.int32) for offset in range(4))
    two = (first & 0x1F) << 6 | second & 0x3F
    three = (first & 0x0F) << 12 | (second & 0x3F) << 6 | third & 0x3F
    four = (first & 0x07) << 18 | (second & 0x3F) << 12 | (third & 0x3F) << 6 | fourth & 0x3F
    return BeyondAscii(data, starts, np.where(first < 0xE0, two, np.where(first < 0xF0, three, four)))


def overwrite(joined: bytes, found: BeyondAscii, texts: Iterable[tuple[np.ndarray, bytes]]) -> bytes:
    """The joined bytes with some characters replaced, as pairs of (mask of `found`, text).

    No text may be longer than its character. `joined` must hold no zero byte: zeros mark bytes to delete.
    """
    data = np.frombuffer(bytearray(joined), np.uint8)
    has_zeros = False
    for is_chosen, text in texts:
        starts, ends = found.starts[is_chosen], found.ends[is_chosen]
        for offset in range(4):
            bytes_at = starts[starts + offset < ends] + offset
            data[bytes_at] = text[offset] if offset < len(text) else 0
        has_zeros |= len(starts) > 0
    return data.tobytes().translate(None, b"\0") if has_zeros else joined


def squeeze_blanks(joined: bytes) -> bytes:
    """The joined bytes with one blank for each run of blanks, and none at the ends of a text; no byte may be zero."""
    data = np.frombuffer(bytearray(SEPARATOR + joined), np.uint8)
    is_blank = data == BLANK
    is_edge = is_blank | (data == SEPARATOR[0])
    data[1:] *= ~(is_blank[1:] & is_edge[:-1])
    data = np.frombuffer(bytearray(data.tobytes().translate(None, b"\0")), np.uint8)
    last = np.flatnonzero(data[1:] == SEPARATOR[0])
    data[last[data[last] == BLANK]] = 0
    return data[1:].tobytes().translate(None, b"\0")


def _array(data: bytes, ends: np.ndarray) -> pa.StringArray:
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends
    return pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))
