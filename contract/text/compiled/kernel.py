"""One pass over the bytes of each text, compiled by numba. A text that may need more is left to contract.text.clean.

A text is left where anything in it could act together with something else: tags that hide text or carry attributes,
escapes, entities within entities, marks and other characters that may compose, possible mojibake. So each character,
entity and tag of the others means what it means alone, and one pass is enough.
"""

from typing import Final, NamedTuple

import numpy as np

from contract.text.compiled.pieces import (
    AMPERSAND,
    KINDS_OF_BYTES,
    LESS,
    LETTER,
    Words,
    after_tag,
    compiled,
    entity,
    is_apart,
)
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


@compiled
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


@compiled
def _clean(data, start, end, tables, out, first):
    """The end of the cleaned text in `out`, and its state."""
    position, index = first, start
    # The kinds in mojibake of the character before, here and in `out`; 0 where it is none of those that ftfy names.
    kind = kind_out = 0
    was_blank = True
    while index < end:
        meaning = tables.meanings[data[index]]
        if meaning >= BLANK:
            # Without a branch, which would often be guessed wrongly: what follows is written over a blank too many.
            is_blank = meaning == BLANK
            out[position] = meaning
            position += 1 - (is_blank & was_blank)
            was_blank = is_blank
            index += 1
            kind = kind_out = 0
        elif meaning == DELETED:
            index += 1
            kind = 0
        else:
            before = Before(first, kind, kind_out)
            position, index, kind, kind_out, state = _special(data, index, end, tables, out, position, before)
            if state != CLEANED:
                return first, state
            was_blank = position == first or out[position - 1] == BLANK
    return position - (was_blank and position > first), CLEANED


class Before(NamedTuple):
    """What stands before a place in a text."""

    first: int  # where the text begins in `out`
    kind: int
    kind_out: int


@compiled
def _special(data, index, end, tables, out, position, before):
    """What follows the tag, entity or character beyond ASCII here: (position, index, kind, kind in `out`, state)."""
    first, kind_out = before.first, before.kind_out
    code, state = np.int32(data[index]), IS_LEFT
    if code >= 128:
        code, index = _decode(data, index)
    elif code == LESS:
        after = after_tag(data, index, end, tables.tags)
        if after < 0:
            return _blank(out, first, position), -after, 0, 0, CLEANED
        if after > 0:
            return position, after, before.kind, kind_out, CLEANED
        index += 1
        if not is_apart(data, index, end, True):
            return position, index, 0, 0, state
    elif code == AMPERSAND:
        code, index = entity(data, index, end, tables.entities, tables.code_points)
        if code < 0 or (code == AMPERSAND and tables.ascii[code] != BLANK and not is_apart(data, index, end, False)):
            return position, index, 0, 0, state
    else:
        return position, index, 0, 0, state

    if code < 128:
        meaning = tables.ascii[code]
        if meaning == DELETED:
            return position, index, 0, kind_out, CLEANED
        return _put(out, first, position, meaning), index, 0, 0, CLEANED
    number = tables.numbers[code]
    if number >= LEFT:
        return position, index, 0, 0, IS_LEFT if number == LEFT else HAS_UNKNOWN
    own = np.int64(number & 7)
    if own >= CAPITAL_A and (index == end or not KINDS_OF_BYTES[data[index]] & LETTER):
        return position, index, 0, 0, state
    if tables.suspect_pairs[before.kind, own] or tables.suspect_pairs[kind_out, own]:
        return position, index, 0, 0, state
    effect = number >> BITS_OF_KIND
    if effect == 0:
        return _encode(out, position, code), index, own, own, CLEANED
    for byte in tables.texts[effect]:
        if byte:
            position = _put(out, first, position, byte)
            kind_out = 0
    return position, index, own, kind_out, CLEANED


@compiled
def _put(out, first, position, byte):
    """The end of the text after this byte; a blank neither begins a text nor follows another."""
    if byte == BLANK:
        return _blank(out, first, position)
    out[position] = byte
    return position + 1


@compiled
def _blank(out, first, position):
    """The end of the text after a blank, which neither begins a text nor follows another."""
    if position > first and out[position - 1] != BLANK:
        out[position] = BLANK
        return position + 1
    return position


@compiled
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


@compiled
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
