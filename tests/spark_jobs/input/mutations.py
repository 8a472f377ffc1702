"""Catalogue lines, broken at random: the same ones for the same seed."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

MAX_LINE_BYTES: Final = 20_000

_BLOCK_LINES: Final = 600
# Of the lines of a block. Readers treat lines in groups, so a broken one among sound ones is another case than many.
_BROKEN_SHARES: Final = (0.0, 0.002, 0.05, 0.5, 1.0)

_WORDS: Final = (  # noqa: SIM905
    "Mug tea steel Kettle café Ω 茶 naïve a.b,c 10% e\u0301 CafÃ© \x7f \u200b \ufeff \u2028 &amp; &#8220;fine&#8221;"
    " &quot;9&quot; It&#x2019;s &nbsp; &#0; &#x110000; &notanentity; <b>bold</b> <br/> &lt;i&gt; <!-- x --> < > , ... "
).split(" ")

# What is put into a line, wherever.
_FRAGMENTS: Final = [
    *(bytes([code]) for code in (0, 1, 9, 10, 13, 31, 32, 34, 44, 47, 58, 91, 92, 93, 123, 125, 127, 128, 192, 254)),
    *b"\xc3 \xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80 \xe2\x80\xa8 \xef\xbb\xbf \xef\xbf\xbe \xff".split(b" "),
    *rb"\ud83d \udc00 \ud834\udd1e \u0000 \u12 \x41 \" \/ \n \\".split(b" "),
    *b'}{ },{ ]} ":" ", /*c*/ // NaN -Infinity 1e999 - 01 1. .5 +1 null true'.split(b" "),
    *b"&# &#x; &lt <!-- --> </ <a".split(b" "),
    *(b"\r\n", b"&amp;" * 9, b"1" * 400, b" " * 300),
]
# Values that JSON may have where a text or something unused is expected, and some that it may not.
_VALUES: Final = [
    *b'null true 0 -0 7 1.5 1e5 1e999 -1e-999 12345678901234567890123 [] {} ["x"] {"title":"y"}'.split(b" "),
    *rb'"" "x" "<br>" "\ud800" "\udc00\ud800" "\u0000" "\a" NaN Infinity 01 undefined'.split(b" "),
    *b'\'x\' "\x7f" "\xc2\x9b" "\xff" "\t" '.split(b" "),
    *(b'" "', b"9" * 400, b"[" * 200 + b"]" * 200, b'{"a":' * 200 + b"1" + b"}" * 200, b"[" * 9_900 + b"]" * 9_900),
]
_AROUND: Final = [
    *((b"[", b"]"), (b'"', b'"'), (b'{"a": ', b"}"), (b"\xef\xbb\xbf", b""), (b" \t", b"  "), (b"\x0c", b"")),
    *((b"", b"\r"), (b"", b"\n"), (b"", b"\0"), (b"", b","), (b"", b"{}"), (b"", b" " * MAX_LINE_BYTES)),
]
_ENCODINGS: Final = ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp037")
_NAMES: Final = rb'"uid" "title" "content" "x" "Title" "" "\u0074itle" "\ud800" title'.split(b" ")


def mutated_lines(seed: int) -> Iterator[bytes]:
    """Lines without end, sound ones and broken ones in blocks; a broken one may hold line feeds, so be several."""
    chance = random.Random(seed)
    number = 0
    while True:
        share = chance.choice(_BROKEN_SHARES)
        for _ in range(_BLOCK_LINES):
            line = sound_line(chance, number)
            number += 1
            if chance.random() < share:
                for _ in range(chance.choice((1, 1, 1, 2, 4))):
                    line = chance.choice(_MUTATIONS)(chance, line)
                if chance.random() < 0.4:  # such lines look whole at a glance
                    line = b"{" + line.removeprefix(b"{").removesuffix(b"}") + b"}"
            yield line


def sound_line(chance: random.Random, number: int) -> bytes:
    """A line that a reader keeps, but for the few that repeat an earlier text or clean to nothing."""
    fields: dict[str, Any] = {
        "uid": number if chance.random() < 0.1 else f"B{number:09d}",
        "title": " ".join(chance.choices(_WORDS, k=chance.randrange(1, 6))),
        "content": " ".join(chance.choices(_WORDS, k=chance.randrange(1, 30))),
        "target_ind": [chance.randrange(10**6) for _ in range(chance.randrange(4))],
        "deep": {"a": [{"b": None}, 1.5e-7, True]},
    }
    is_ascii = chance.random() < 0.5
    text = json.dumps(dict(chance.sample(list(fields.items()), len(fields))), ensure_ascii=is_ascii)
    return text.encode()


def _flip(chance: random.Random, line: bytes) -> bytes:
    at = chance.randrange(len(line) + 1)
    return line[:at] + bytes(byte ^ 1 << chance.randrange(8) for byte in line[at : at + 1]) + line[at + 1 :]


def _overwrite(chance: random.Random, line: bytes) -> bytes:
    start, end = _span(chance, line)
    return line[:start] + chance.randbytes(chance.randrange(5)) + line[end:]


def _insert(chance: random.Random, line: bytes) -> bytes:
    at = chance.randrange(len(line) + 1)
    return line[:at] + chance.choice(_FRAGMENTS) + line[at:]


def _insert_into_text(chance: random.Random, line: bytes) -> bytes:
    """Behind a letter: most letters stand in titles and contents."""
    places = [at for at, byte in enumerate(line) if chr(byte).isalpha()]
    at = chance.choice(places) + 1 if places else 0
    return line[:at] + chance.choice(_FRAGMENTS) + line[at:]


def _cut(chance: random.Random, line: bytes) -> bytes:
    start, end = _span(chance, line)
    return chance.choice((line[:start], line[end:], line[:start] + line[end:]))


def _repeat(chance: random.Random, line: bytes) -> bytes:
    start, end = _span(chance, line)
    return line[:end] + line[start:end] * chance.choice((1, 1, 50)) + line[end:]


def _splice(chance: random.Random, line: bytes) -> bytes:
    other = sound_line(chance, chance.randrange(10**6))
    return line[: chance.randrange(len(line) + 1)] + other[chance.randrange(len(other)) :]


def _add_field(chance: random.Random, line: bytes) -> bytes:
    name, value = chance.choice(_NAMES), chance.choice(_VALUES)
    if chance.random() < 0.5:
        return b"{" + name + b": " + value + b", " + line.removeprefix(b"{")
    return line.removesuffix(b"}") + b", " + name + b": " + value + b"}"


def _change_value(chance: random.Random, line: bytes) -> bytes:
    head, name, rest = line.partition(chance.choice(_NAMES[:3]) + b": ")
    _, comma, tail = rest.partition(b', "')
    return head + name + chance.choice(_VALUES) + comma + tail


def _wrap(chance: random.Random, line: bytes) -> bytes:
    before, behind = chance.choice(_AROUND)
    return before + line + behind


def _encode(chance: random.Random, line: bytes) -> bytes:
    return line.decode(errors="replace").encode(chance.choice(_ENCODINGS), "replace")


def _span(chance: random.Random, line: bytes) -> tuple[int, int]:
    start = chance.randrange(len(line) + 1)
    return start, min(len(line), start + chance.choice((1, 1, 2, 5, 40)))


_MUTATIONS: Final[list[Callable[[random.Random, bytes], bytes]]] = [
    *(_flip, _overwrite, _insert, _insert_into_text, _insert_into_text, _cut, _repeat, _splice),
    *(_add_field, _add_field, _change_value, _change_value, _wrap, _encode),
]
