"""Lines that are no valid records, and lines that look broken but are valid."""

import json
from collections.abc import Sequence
from typing import TypeVar

from synth.text import Draw

Choice = TypeVar("Choice")

# Each way to break a line, with the outcome in a preparation: "kept", or the reason of the rejection.
BREAKAGES = {
    "truncated": "not_json",
    "blank_line": "not_json",
    "invalid_utf8": "not_utf8",
    "not_an_object": "not_a_record",
    "wrong_type": "not_a_record",
    "no_fields": "no_title",
    "crlf": "kept",
    "lone_surrogate": "kept",
}
_NOT_TEXTS: tuple[object, ...] = ({}, {"text": "Title"}, [{}], ["Title", {"text": "Title"}])
_NOT_OBJECTS = (b"42", b"null", b"true", b'"a line of text"', b"[]", b"[1, 2]", b'[{"title": "A", "content": "B"}]')
_NOT_UTF8 = (b"\xff", b"\xc3(", b"\x80", b"\xf0\x9f\x92", b"caf\xe9 ", b"\xfe\xfe")
_SURROGATES = (b"\\ud800", b"\\udfff ", b"\\udc00\\ud83d")


def break_line(line: bytes, breakage: str, random: Draw) -> bytes:
    """The line of a record, without its line feed, broken in one of the `BREAKAGES`; it has a title and a content."""
    if breakage == "truncated":
        return line[: 1 + int(random() * (len(line) - 1))]
    if breakage == "blank_line":
        return _one_of((b"", b"   ", b"\t", b" \r"), random)
    if breakage == "not_an_object":
        return _one_of(_NOT_OBJECTS, random)
    if breakage == "wrong_type":
        return json.dumps(
            json.loads(line) | {_one_of(("title", "content"), random): _one_of(_NOT_TEXTS, random)}
        ).encode()
    if breakage == "no_fields":
        return b"{}"
    if breakage == "crlf":
        return line + b"\r"
    inserted = _one_of(_NOT_UTF8 if breakage == "invalid_utf8" else _SURROGATES, random)
    start = _one_of((b'"title": "', b'"content": "'), random)
    return line.replace(start, start + inserted, 1)


def _one_of(choices: Sequence[Choice], random: Draw) -> Choice:
    return choices[int(random() * len(choices))]
