"""What a line of JSON holds, by the standard library alone: the reference of the fast readers."""

import ast
import json

from contract.text.clean import replace_lone_surrogates

NO_VALUES = ("NULL", "Null", "null", "None", "none", "NaN", "nan", "N/A", "n/a")


def read_line(line: bytes, names: tuple[str, str, str]) -> tuple[str | None, tuple[str | None, str, str]]:
    """Why a line cannot be read, or None; and its uid, title and content."""
    nothing = (None, "", "")
    try:
        value = json.loads(line.decode(), parse_constant=lambda _: None, parse_int=str, parse_float=str)
    except UnicodeDecodeError:
        return "not_utf8", nothing
    except (ValueError, RecursionError):
        if not line.strip().startswith((b"{'", b"{u'")):
            return "not_json", nothing
        try:
            value = ast.literal_eval(line.decode().strip())
        except (ValueError, SyntaxError, MemoryError):
            return "not_json", nothing
    if not isinstance(value, dict):
        return "not_a_record", nothing
    try:
        title, content = (_text(" ".join(_texts(value.get(name)))) for name in names[1:])
    except TypeError:
        return "not_a_record", nothing
    uid = value.get(names[0])
    if isinstance(uid, bool):
        uid = str(uid).lower()
    uid = None if isinstance(uid, list | dict) else _text(str(uid or ""))
    return None, (uid or None, title, content)


def _texts(value: object) -> list[str]:
    """The texts in a value that are not empty. TypeError where there is an object."""
    if isinstance(value, dict):
        raise TypeError
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [] if value is None or value == "" or isinstance(value, bool) else [str(value)]


def _text(text: str) -> str:
    return "" if text.strip() in NO_VALUES else replace_lone_surrogates(text)
