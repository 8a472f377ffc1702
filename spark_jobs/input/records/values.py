"""Values of a record become texts: a scalar, a list of them, a field below another, several fields in one."""

import re
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Words that programs write where there is no value; `\N` is MySQL's. Alone they are no text.
NO_VALUES: Final = ("NULL", "null", "Null", "None", "none", "NaN", "nan", "N/A", "n/a", r"\N")
_MOST_BYTES: Final = max(map(len, NO_VALUES)) + 2
_COMMA: Final = re.compile(r"\s*,\s*")


class NotATextError(ValueError):
    """A value that is an object: it has fields, and only the catalogue's owner knows which of them is meant."""


def fields_in(name: str) -> list[str]:
    """The fields that a setting names.

    >>> fields_in("feature, description")
    ['feature', 'description']
    """
    return [field for field in _COMMA.split(name.strip()) if field]


def top_fields(name: str) -> set[str]:
    """The names that a record may hold at its top for this setting.

    >>> sorted(top_fields("name.pt,x"))
    ['name', 'name.pt', 'name.pt,x', 'x']
    """
    found = {name}
    for field in fields_in(name):
        found |= {field, *(field[:place] for place, sign in enumerate(field) if sign == ".")}
    return found - {""}


def read_text(record: Mapping[str, object], name: str) -> str | None:
    """The text under this setting's name; None where there is none. NotATextError where there is an object.

    `name.pt` is the field `pt` of the object `name`, unless a field is called `name.pt` itself; `a,b` is the text of
    both, and in `name,name.pt` an object is no text of `name`. Texts of a list, and of several fields, are joined by
    blanks.
    """
    if "," not in name or name in record:
        return text_of(_find(record, name))
    fields = fields_in(name)
    found = {field: _find(record, field) for field in fields}
    is_looked_into = {field: any(each.startswith(f"{field}.") for each in fields) for field in fields}
    return _joined(
        [text_of(value) for field, value in found.items() if not (is_looked_into[field] and isinstance(value, Mapping))]
    )


def text_of(value: object) -> str | None:
    """The text of a value; None for null, true and false, and for an empty list. NotATextError for an object.

    >>> text_of(["three legs", 4, None, ["oiled"]])
    'three legs 4 oiled'
    """
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, list | tuple):
        return _joined([text_of(item) for item in value])
    if isinstance(value, int | float):
        return str(value)
    raise NotATextError


def read_id(record: Mapping[str, object], name: str) -> str | None:
    """The id under this setting's name, which any scalar can be. NotATextError for a list or an object."""
    if "," in name and name not in record:
        return read_text(record, name)
    value = _find(record, name)
    if isinstance(value, list | tuple):
        raise NotATextError
    return str(value).lower() if isinstance(value, bool) else text_of(value)


def has_float(value: object) -> bool:
    """Whether a number in it may be spelt otherwise than Python spells it."""
    if isinstance(value, Mapping):
        return any(map(has_float, value.values()))
    return any(map(has_float, value)) if isinstance(value, list) else isinstance(value, float)


def _find(value: object, name: str) -> object:
    if isinstance(value, list):
        return [found for item in value if (found := _find(item, name)) is not None]
    if not isinstance(value, Mapping):
        return None
    if name in value:
        return value[name]
    for dot in (place for place, sign in enumerate(name) if sign == "."):
        if name[:dot] in value and (found := _find(value[name[:dot]], name[dot + 1 :])) is not None:
            return found
    return None


def _joined(texts: list[str | None]) -> str | None:
    return " ".join(text for text in texts if text) or None


def without_no_values(texts: pa.StringArray) -> tuple[pa.StringArray, int]:
    """The texts, null for each that is one of NO_VALUES, and their number. 20 ns a text that is not as short."""
    is_short = pc.less_equal(pc.binary_length(texts), _MOST_BYTES)
    rows = np.flatnonzero(pc.fill_null(is_short, False))
    is_word = pc.is_in(pc.utf8_trim_whitespace(texts.take(rows)), value_set=pa.array(NO_VALUES))
    rows = rows[is_word.to_numpy(zero_copy_only=False)]
    if not len(rows):
        return texts, 0
    mask = np.zeros(len(texts), bool)
    mask[rows] = True
    return pc.if_else(pa.array(mask), None, texts), len(rows)
