"""Entities, tags and comments in the bytes of a text, for the compiled pass."""

from typing import Final, NamedTuple

import numba
import numpy as np

# Without counts of references (_nrt): nothing here makes an array, and to count those of all tables at every call took
# more than half of the time.
compiled: Final = numba.njit(cache=True, nogil=True, _nrt=False)


AMPERSAND, LESS, _GREATER, BACKSLASH, _SEMICOLON, _MARK, _HYPHEN = (ord(sign) for sign in "&<>\\;!-")
_LONGEST_NAME: Final = 32
LETTER: Final = 1
_DIGIT: Final = 2
_WHITE: Final = 4
KINDS_OF_BYTES: Final = np.array(
    [
        (LETTER if chr(code).isalpha() else _DIGIT if chr(code).isdigit() else _WHITE if code in b" \t\n\r" else 0)
        if code < 128
        else 0
        for code in range(256)
    ],
    np.uint8,
)


class Words(NamedTuple):
    """A hash table of words."""

    slots: np.ndarray  # int32: the number of a word, -1 for none; their number is a power of two
    data: np.ndarray  # uint8: all words
    bounds: np.ndarray  # int32, [words + 1]
    values: np.ndarray  # int32, one for each word


@compiled
def after_tag(data, index, end, tags):
    """Where the tag or comment that begins here ends; negative if it leaves a blank; 0 if it is none of these."""
    if end - index > 6 and data[index + 1] == _MARK and data[index + 2] == _HYPHEN and data[index + 3] == _HYPHEN:
        after = index + 4
        while after < end - 2 and data[after] != _HYPHEN and data[after] != BACKSLASH:
            after += 1
        is_whole = (
            after > index + 4 and data[index + 4] != _GREATER and data[after] == _HYPHEN and data[after + 1] == _HYPHEN
        )
        return after + 3 if is_whole and data[after + 2] == _GREATER else 0
    for after in range(index + 3, min(end, index + _LONGEST_NAME) + 1):
        if data[after - 1] == _GREATER:
            word = _find(tags, data, index, after)
            return 0 if word < 0 else -after if tags.values[word] else after
    return 0


@compiled
def entity(data, index, end, entities, code_points):
    """The code point of what begins with this `&`, and where it ends; -1 where this text must be left."""
    start = index + 1
    if start < end and data[start] == 35:
        return _numbered(data, start + 1, end, code_points)
    after = start
    while after < end and KINDS_OF_BYTES[data[after]] & (LETTER | _DIGIT):
        after += 1
    if after == start:
        return np.int32(AMPERSAND if is_apart(data, start, end, False) else -1), start
    if after - start >= _LONGEST_NAME:
        return np.int32(-1), start
    if after < end and data[after] == _SEMICOLON:
        after += 1
    elif after < end and data[after] == LESS:  # where a tag goes, more may belong to the name
        return np.int32(-1), start
    word = _find(entities, data, start, after)
    if word >= 0:
        code = entities.values[word]
        if code in (AMPERSAND, LESS) and not is_apart(data, after, end, code == LESS):
            code = np.int32(-1)
        return code, after
    for shorter in range(after - 1, start + 1, -1):
        if _find(entities, data, start, shorter) >= 0:
            return np.int32(-1), start
    if after < end and data[after] in (AMPERSAND, LESS):
        return np.int32(-1), start
    return np.int32(AMPERSAND), start


@compiled
def _numbered(data, start, end, code_points):
    """As `entity`, of the number after `&#`, in decimal or after an x in hexadecimal digits."""
    is_hex = start < end and data[start] | 32 == 120
    index = start + 1 if is_hex else start
    code, first = np.int32(0), index
    while index < end and code < 0xD800:
        byte = data[index]
        if KINDS_OF_BYTES[byte] & _DIGIT:
            digit = byte - 48
        elif is_hex and 97 <= byte | 32 <= 102:
            digit = (byte | 32) - 87
        else:
            break
        code = code * np.int32(16 if is_hex else 10) + np.int32(digit)
        index += 1
    if index == first or code >= 0xD800:
        return np.int32(-1), start
    if index < end and data[index] == _SEMICOLON:
        index += 1
    elif index < end and data[index] == LESS:
        return np.int32(-1), start
    if code < 256:
        code = code_points[code]
    if code in (AMPERSAND, LESS) and not is_apart(data, index, end, code == LESS):
        code = np.int32(-1)
    return code, index


@compiled
def _find(words, data, start, end):
    """The number of the word in data[start:end]; -1 where it is none of these."""
    slot = hash_of(data, start, end) & (len(words.slots) - 1)
    while words.slots[slot] >= 0:
        word = words.slots[slot]
        first = words.bounds[word]
        if words.bounds[word + 1] - first == end - start:
            is_same = True
            for offset in range(end - start):
                if words.data[first + offset] != data[start + offset]:
                    is_same = False
                    break
            if is_same:
                return word
        slot = (slot + 1) & (len(words.slots) - 1)
    return -1


@compiled
def hash_of(data, start, end):
    """FNV-1a: Fowler, Noll and Vo, 32 bits."""
    value = np.uint32(2166136261)
    for index in range(start, end):
        value = np.uint32((value ^ data[index]) * np.uint32(16777619))
    return np.int64(value)


@compiled
def is_apart(data, index, end, or_digit):
    """Whether the text ends here or goes on with white space (or a digit), so that no `&` or `<` before means more."""
    if index == end:
        return True
    kind = KINDS_OF_BYTES[data[index]]
    return kind & _WHITE != 0 or (or_digit and kind & _DIGIT != 0)
