"""Lines that are each nasty in one way, and what must become of them."""

import json
from typing import Final

MAX_LINE_BYTES: Final = 5_000


def line(uid: object = "u", title: object = "Red Mug", content: object = "Holds tea.", **others: object) -> bytes:
    """One catalogue line; other fields follow the three."""
    return json.dumps({"uid": uid, "title": title, "content": content} | others).encode()


def _distinct(name: str, **fields: object) -> bytes:
    """A line that no other is a duplicate of."""
    return line(**{"uid": name, "title": f"Mug {name}", "content": f"A mug named {name}"} | fields)


KEPT: Final = "kept"

# name: (line without its line feed, what becomes of it)
NASTY: Final[dict[str, tuple[bytes, str]]] = {
    "plain": (_distinct("plain"), KEPT),
    "blank": (b"", "not_json"),
    "only blanks": (b"   \t", "not_json"),
    "only carriage return": (b"\r", "not_json"),
    "carriage return at the end": (_distinct("crlf") + b"\r", KEPT),
    "blanks around": (b"  " + _distinct("around") + b" \t ", KEPT),
    "cut off": (_distinct("cut")[:-10], "not_json"),
    "two objects with a blank between": (_distinct("two a") + b" " + _distinct("objects b"), "not_json"),
    "two objects": (_distinct("two") + _distinct("objects"), "not_json"),
    "trailing comma": (_distinct("comma")[:-1] + b",}", "not_json"),
    "a dict as Python prints it": (b"{'uid': 'py', 'title': \"Child's mug\", 'content': 'Of tin', 'x': None}", KEPT),
    "a dict cut off": (b"{'uid': 'py', 'title': 't', 'content': 'c", "not_json"),
    "no dict but a call": (b"{'uid': print('x'), 'title': 't', 'content': 'c'}", "not_json"),
    "NaN in a field that is not used": (_distinct("nan", x=1)[:-2] + b"NaN}", KEPT),
    "infinity in a field that is not used": (_distinct("inf", x=1)[:-2] + b"-Infinity}", KEPT),
    "title is NaN": (b'{"title": NaN, "content": "c"}', "no_title"),
    "title is NULL": (_distinct("word", title="NULL"), "no_title"),
    "uid is N/A": (_distinct("no id", uid="N/A"), KEPT),
    "content is None": (_distinct("none", content=" None "), "no_content"),
    "control character in a string": (b'{"title": "a\x01b", "content": "c"}', "not_json"),
    "null byte": (b'{"title": "a\x00b", "content": "c"}', "not_json"),
    "UTF-8 cut in two": (b'{"title": "caf\xc3", "content": "c"}', "not_utf8"),
    "Latin-1 in a field that is not used": (b'{"title": "cafe", "content": "c", "x": "\xe9"}', "not_utf8"),
    "overlong UTF-8": (b'{"title": "a\xc0\xafb", "content": "c"}', "not_utf8"),
    "a surrogate spelt in UTF-8": (b'{"title": "a\xed\xa0\x80b", "content": "c"}', "not_utf8"),
    "wrong type and cut off": (b'{"title": 5, "content": "c"', "not_json"),
    "nested too deep": (b'{"title": "t", "content": "c", "x": ' + b"[" * 2_400, "not_json"),
    "number": (b"42", "not_a_record"),
    "null": (b"null", "not_a_record"),
    "string": (b'"title"', "not_a_record"),
    "array of a record": (b"[" + _distinct("array") + b"]", "not_a_record"),
    "title is a number": (_distinct("number", title=1984), KEPT),
    "title is an object": (_distinct("object", title={"en": "a"}), "not_a_record"),
    "content is a list": (_distinct("list", content=["of three", None, ["texts"], 4.50, True]), KEPT),
    "content is a list of objects": (_distinct("objects", content=["a", {"b": "c"}]), "not_a_record"),
    "content is an empty list": (_distinct("empty list", content=[]), "no_content"),
    "uid is a whole number": (_distinct("seven", uid=7), KEPT),
    "uid is beyond 64 bits": (_distinct("many", uid=10**30), KEPT),
    "more digits than Python reads": (_distinct("digits", x=1)[:-2] + b"7" * 4_400 + b"}", KEPT),
    "more digits than Python reads, and a lone surrogate": (
        _distinct("more digits", x=1)[:-2] + b"7" * 4_400 + b', "y": "\\ud800"}',
        KEPT,
    ),
    "an id of more digits than Python reads": (
        b'{"uid": ' + b"7" * 4_400 + b', "title": "t", "content": "c"}',
        KEPT,
    ),
    "uid is a fraction": (_distinct("half", uid=0.5), KEPT),
    "uid is a boolean": (_distinct("true", uid=True), KEPT),
    "uid is an object": (_distinct("oid", uid={"$oid": "5f"}), KEPT),
    "title is a boolean": (_distinct("bool", title=True), "no_title"),
    "empty object": (b"{}", "no_title"),
    "title is null": (_distinct("null title", title=None), "no_title"),
    "title is blank": (_distinct("blank title", title=" \t\n"), "no_title"),
    "title is a tag": (_distinct("tag title", title="<br/>"), "no_title"),
    "title is all punctuation": (_distinct("!", title="&#33;&nbsp;?!"), "no_title"),
    "title and content empty": (_distinct("both", title="", content=""), "no_title"),
    "content is null": (_distinct("null content", content=None), "no_content"),
    "content is missing": (b'{"uid": "u", "title": "No content"}', "no_content"),
    "content is an entity blank": (_distinct("nbsp", content="&nbsp; &#160;"), "no_content"),
    "lone surrogate": (b'{"uid": "s1", "title": "Half \\ud83d moon", "content": "Lone surrogate"}', KEPT),
    "lone surrogate in uid": (b'{"uid": "s\\udc00", "title": "Half uid", "content": "Lone surrogate in uid"}', KEPT),
    "surrogate pair": (b'{"uid": "s2", "title": "Clef \\ud834\\udd1e x", "content": "Pair"}', KEPT),
    "raw UTF-8": ('{"uid": "é", "title": "Café Ω 茶", "content": "Crème brûlée"}'.encode(), KEPT),
    "field twice, the last one counts": (b'{"title": 5, "uid": "tw", "title": "Twice", "content": "Last one"}', KEPT),
    "escaped field name": (b'{"uid": "esc", "\\u0074itle": "Escaped name", "content": "Of the field"}', KEPT),
    "line feed spelt in the text": (_distinct("lf", content="one\ntwo\r\nthree"), KEPT),
    "line separator in the text": (
        '{"uid": "ls", "title": "Sep", "content": "one\u2028two\u0085three"}'.encode(),
        KEPT,
    ),
    "uid missing": (b'{"title": "No uid", "content": "Uid is missing"}', KEPT),
    "uid null": (_distinct("uid null", uid=None), KEPT),
    "uid empty": (_distinct("uid empty", uid=""), KEPT),
    "fields that are not used": (_distinct("others", target_ind=[1, 2], target_rel=[1.0], deep={"a": [{}]}), KEPT),
    "number beyond any float": (_distinct("big", x=1)[:-2] + b"1e999}", KEPT),
    "mojibake": (_distinct("mojibake", content="CafÃ© crÃ¨me"), KEPT),
    "as long as allowed": (_distinct("long", content="x" * 9_000)[: MAX_LINE_BYTES - 2] + b'"}', KEPT),
    "one byte too long": (_distinct("longer", content="x" * 9_000)[: MAX_LINE_BYTES - 1] + b'"}', "too_long"),
    "many times too long": (_distinct("longest", content="x" * 70_000), "too_long"),
    "too long and not JSON": (b"{" * (MAX_LINE_BYTES + 1), "too_long"),
    "duplicate": (_distinct("plain", uid="plain2"), "duplicate"),
    "duplicate once cleaned": (_distinct("plain", uid="plain3", title="<b>Mug</b>&nbsp; plain!"), "duplicate"),
    "same uid, other text": (_distinct("other", uid="plain"), KEPT),
}
