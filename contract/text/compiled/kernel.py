"""One pass over the bytes of each text, compiled by numba. A text that may need more is left to contract.text.clean.

A text is left where anything in it could act together with something else: tags that hide text or carry attributes,
escapes, entities within entities, marks and other characters that may compose, possible mojibake. So each character,
entity and tag of the others means what it means alone, and one pass is enough.
The compiled code is kept beside this file, or in the user's cache folder where nothing can be written here.
"""

from typing import Final, NamedTuple

import numba
import numpy as np

from contract.text.mojibake import CAPITAL_A

# What a byte of the input means: a byte to write, or one of these.
DELETED: Final = 0
SPECIAL: Final = 1  # `&`, `<`, a backslash, and bytes of characters beyond ASCII
BLANK: Final = 32

# The number of a character beyond ASCII: its kind in mojibake, and from bit 3 on the text that it becomes (0: itself).
BITS_OF_KIND: Final = 3
LEFT: Final = 254  # no text that holds it is cleaned here
UNKNOWN: Final = 255  # not looked up so far

# What becomes of a text.
CLEANED: Final = 0
IS_LEFT: Final = 1
HAS_UNKNOWN: Final = 2

_AMPERSAND, _LESS, _GREATER, _BACKSLASH, _SEMICOLON, _MARK, _HYPHEN = (ord(sign) for sign in "&<>\\;!-")
_LONGEST_NAME: Final = 32
_LETTER: Final = 1
_DIGIT: Final = 2
_WHITE: Final = 4
_KINDS_OF_BYTES: Final = np.array(
    [
        (_LETTER if chr(code).isalpha() else _DIGIT if chr(code).isdigit() else _WHITE if code in b" \t\n\r" else 0)
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


class Tables(NamedTuple):
    """What each byte, character, entity and tag becomes."""

    meanings: np.ndarray  # uint8, [256]: of a byte of the input
    ascii: np.ndarray  # uint8, [128]: a byte to write, or DELETED
    numbers: np.ndarray  # uint8, [code points]
    suspect_pairs: np.ndarray  # bool, [kinds, kinds]
    texts: np.ndarray  # uint8, [texts, 4]: padded with zeros
    code_points: np.ndarray  # int32, [256]: of `&#n;`; -1 for those that are left
    entities: Words  # the names without `&`; values are code points, -1 for those that are left
    tags: Words  # whole tags; values are whether one leaves a blank


@numba.njit(cache=True, nogil=True)
def clean_texts(data, offsets, tables, out, out_offsets, states):
    """Writes the cleaned texts to `out`, and what became of each to `states`; one that is left has no bytes there.

    `data` [bytes], `offsets` [texts + 1] as Arrow has them; `out` has room for twice as many bytes.
    """
    position = 0
    out_offsets[0] = 0
    for row in range(len(offsets) - 1):
        end, state = _clean(data, np.int64(offsets[row]), np.int64(offsets[row + 1]), tables, out, position)
        states[row] = state
        if state == CLEANED:
            position = end
        out_offsets[row + 1] = position


@numba.njit(cache=True, nogil=True)
def _clean(data, start, end, tables, out, first):
    """The end of the cleaned text in `out`, and its state."""
    position, index = first, start
    # The kinds in mojibake of the character before, here and in `out`; 0 where it is none of those that ftfy names.
    kind = kind_out = 0
    while index < end:
        byte = data[index]
        meaning = tables.meanings[byte]
        if meaning > BLANK:
            out[position] = meaning
            position += 1
            index += 1
            kind = kind_out = 0
            continue
        if meaning == BLANK:
            position = _blank(out, first, position)
            index += 1
            kind = kind_out = 0
            continue
        if meaning == DELETED:
            index += 1
            kind = 0
            continue

        code = np.int32(byte)
        if byte >= 128:
            code, index = _decode(data, index)
        elif byte == _LESS:
            after = _after_tag(data, index, end, tables.tags)
            if after == 0 and not _is_apart(data, index + 1, end, True):
                return first, IS_LEFT
            if after != 0:
                index = abs(after)
                if after < 0:
                    position = _blank(out, first, position)
                    kind = kind_out = 0
                continue
            index += 1
        elif byte == _AMPERSAND:
            code, index = _entity(data, index, end, tables)
            if code < 0 or (
                code == _AMPERSAND and tables.ascii[code] != BLANK and not _is_apart(data, index, end, False)
            ):
                return first, IS_LEFT
        else:
            return first, IS_LEFT

        if code < 128:
            meaning = tables.ascii[code]
            if meaning == BLANK:
                position = _blank(out, first, position)
            elif meaning != DELETED:
                out[position] = meaning
                position += 1
            kind, kind_out = 0, kind_out if meaning == DELETED else 0
            continue
        number = tables.numbers[code]
        if number >= LEFT:
            return first, IS_LEFT if number == LEFT else HAS_UNKNOWN
        own = number & 7
        if own >= CAPITAL_A and (index == end or not _KINDS_OF_BYTES[data[index]] & _LETTER):
            return first, IS_LEFT
        if tables.suspect_pairs[kind, own] or tables.suspect_pairs[kind_out, own]:
            return first, IS_LEFT
        kind = own
        effect = number >> BITS_OF_KIND
        if effect == 0:
            position = _encode(out, position, code)
            kind_out = own
            continue
        for byte in tables.texts[effect]:
            if byte == BLANK:
                position = _blank(out, first, position)
            elif byte:
                out[position] = byte
                position += 1
        if tables.texts[effect, 0]:
            kind_out = 0
    if position > first and out[position - 1] == BLANK:
        position -= 1
    return position, CLEANED


@numba.njit(cache=True, nogil=True)
def _blank(out, first, position):
    """The end of the text after a blank, which neither begins a text nor follows another."""
    if position > first and out[position - 1] != BLANK:
        out[position] = BLANK
        return position + 1
    return position


@numba.njit(cache=True, nogil=True)
def _is_apart(data, index, end, or_digit):
    """Whether the text ends here or goes on with white space (or a digit), so that no `&` or `<` before means more."""
    if index == end:
        return True
    kind = _KINDS_OF_BYTES[data[index]]
    return kind & _WHITE != 0 or (or_digit and kind & _DIGIT != 0)


@numba.njit(cache=True, nogil=True)
def _decode(data, index):
    """The code point of the character that begins here, and where the next one begins."""
    first = np.int32(data[index])
    second = np.int32(data[index + 1]) & 0x3F
    if first < 0xE0:
        return (first & 0x1F) << 6 | second, index + 2
    third = np.int32(data[index + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, index + 3
    return (first & 0x07) << 18 | second << 12 | third << 6 | np.int32(data[index + 3]) & 0x3F, index + 4


@numba.njit(cache=True, nogil=True)
def _encode(out, position, code):
    """The end of the text after this character, which is beyond ASCII and below U+10000."""
    if code < 0x800:
        out[position] = 0xC0 | code >> 6
        out[position + 1] = 0x80 | code & 0x3F
        return position + 2
    out[position] = 0xE0 | code >> 12
    out[position + 1] = 0x80 | code >> 6 & 0x3F
    out[position + 2] = 0x80 | code & 0x3F
    return position + 3


@numba.njit(cache=True, nogil=True)
def _after_tag(data, index, end, tags):
    """Where the tag or comment that begins here ends; negative if it leaves a blank; 0 if it is none of these."""
    if end - index > 6 and data[index + 1] == _MARK and data[index + 2] == _HYPHEN and data[index + 3] == _HYPHEN:
        after = index + 4
        while after < end - 2 and data[after] != _HYPHEN and data[after] != _BACKSLASH:
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


@numba.njit(cache=True, nogil=True)
def _entity(data, index, end, tables):
    """The code point of what begins with this `&`, and where it ends; -1 where this text must be left."""
    start = index + 1
    if start < end and data[start] == 35:
        return _numbered(data, start + 1, end, tables.code_points)
    after = start
    while after < end and _KINDS_OF_BYTES[data[after]] & (_LETTER | _DIGIT):
        after += 1
    if after == start:
        return np.int32(_AMPERSAND if _is_apart(data, start, end, False) else -1), start
    if after - start >= _LONGEST_NAME:
        return np.int32(-1), start
    if after < end and data[after] == _SEMICOLON:
        after += 1
    elif after < end and data[after] == _LESS:  # where a tag goes, more may belong to the name
        return np.int32(-1), start
    word = _find(tables.entities, data, start, after)
    if word >= 0:
        code = tables.entities.values[word]
        if code in (_AMPERSAND, _LESS) and not _is_apart(data, after, end, code == _LESS):
            code = np.int32(-1)
        return code, after
    for shorter in range(after - 1, start + 1, -1):
        if _find(tables.entities, data, start, shorter) >= 0:
            return np.int32(-1), start
    if after < end and data[after] in (_AMPERSAND, _LESS):
        return np.int32(-1), start
    return np.int32(_AMPERSAND), start


@numba.njit(cache=True, nogil=True)
def _numbered(data, start, end, code_points):
    """As `_entity`, of the number after `&#`, in decimal or after an x in hexadecimal digits."""
    is_hex = start < end and data[start] | 32 == 120
    index = start + 1 if is_hex else start
    code, first = np.int32(0), index
    while index < end and code < 0xD800:
        byte = data[index]
        if _KINDS_OF_BYTES[byte] & _DIGIT:
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
    elif index < end and data[index] == _LESS:
        return np.int32(-1), start
    if code < 256:
        code = code_points[code]
    if code in (_AMPERSAND, _LESS) and not _is_apart(data, index, end, code == _LESS):
        code = np.int32(-1)
    return code, index


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def hash_of(data, start, end):
    """FNV-1a: Fowler, Noll and Vo, 32 bits."""
    value = np.uint32(2166136261)
    for index in range(start, end):
        value = np.uint32((value ^ data[index]) * np.uint32(16777619))
    return np.int64(value)
