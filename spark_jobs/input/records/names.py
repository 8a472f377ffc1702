"""Which fields of a catalogue are likely to be the title, the description and the id, for advice in messages."""

import re
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Final

# In lower case, without signs between words; the likeliest first.
_TITLES: Final = (
    *("title", "name", "productname", "producttitle", "itemname"),
    *("titulo", "título", "nome", "nomedoproduto"),
)
_CONTENTS: Final = (
    *("description", "content", "longdescription", "productdescription", "bodyhtml", "body", "descricao", "descrição"),
    *("descripcion", "descripción", "aboutproduct", "about", "details", "summary", "feature", "features"),
    *("text", "plaintext"),
)
_IDS: Final = (
    *("id", "uid", "sku", "asin", "uniqid", "objectid", "productid", "parentasin", "pid", "code", "codigo", "código"),
    *("gtin", "handle"),
)
_VERSION: Final = re.compile(r"(?!id$)[a-z]{2}([-_][A-Za-z]{2})?|text|plain_text|html|value")  # of a text, as `name.pt`
_MOST_SHOWN: Final = 30
_MOST_INNER: Final = 6  # fields of an object that are shown
_MOST_DEPTH: Final = 4


def field_names_in(record: Mapping[str, object], *, depth: int = 1) -> list[str]:
    """The names by which a record's values can be asked for, with dots for those below others.

    >>> field_names_in({"id": 1, "name": {"en": "a", "pt": "b"}, "sizes": [{"cm": 3}], "tags": ["x"]})
    ['id', 'name.en', 'name.pt', 'sizes.cm', 'tags']
    """
    found: list[str] = []
    for name, value in record.items():
        inner = [value] if isinstance(value, Mapping) else value if isinstance(value, list) else []
        objects = [item for item in inner if isinstance(item, Mapping) and item]
        if objects and depth < _MOST_DEPTH:
            found += [f"{name}.{each}" for item in objects for each in field_names_in(item, depth=depth + 1)]
        else:
            found.append(name)
    return list(dict.fromkeys(found))


def advice_on_names(found: Sequence[str], *, uid: str, title: str, content: str) -> str:
    """What a catalogue has, and the options that name its fields, as far as they can be guessed."""
    shown = ", ".join(map(repr, found[:_MOST_SHOWN])) + (", …" if len(found) > _MOST_SHOWN else "")
    title, content, uid = (
        name if name in found else _guess(found, name, known)
        for name, known in ((title, _TITLES), (content, _CONTENTS), (uid, _IDS))
    )
    if not (title and content and title != content):
        return f"it has {shown}: name the right ones by --title-field and --content-field"
    id_option = f" --id-field {quote(uid)}" if uid and uid != "uid" else ""
    return f"it has {shown}: try --title-field {quote(title)} --content-field {quote(content)}{id_option}"


def advice_on_objects(found: Sequence[str], *, title: str, content: str) -> str:
    """The options that name a text below a title or description that is an object; empty where there is none.

    >>> advice_on_objects(["id", "title", "title.en", "title.pt"], title="title", content="content")
    'title may be an object with title.en, title.pt: try --title-field title,title.en'
    """
    advice = []
    for option, name in (("--title-field", title), ("--content-field", content)):
        inner = sorted((each for each in found if each.startswith(f"{name}.")), key=_is_hardly_text)
        if inner:
            text = f"{name},{inner[0]}" if name in found else inner[0]
            shown = ", ".join(inner[:_MOST_INNER]) + (", …" if len(inner) > _MOST_INNER else "")
            advice.append(f"{name} may be an object with {shown}: try {option} {quote(text)}")
    return "; ".join(advice)


def _is_hardly_text(name: str) -> bool:
    """Whether the field is not, by its name, a version of the text above it."""
    return _VERSION.fullmatch(name.rpartition(".")[2]) is None


def _guess(found: Sequence[str], name: str, known: Sequence[str]) -> str:
    """The field that differs from the name in its case only, or stands first among the known ones; empty for none.

    A name counts by its last part, or by the part above where the last is a version of it, as in `name.pt`. The fewer
    objects a field lies in, the likelier it is.
    """
    ranks: dict[str, tuple[int, int]] = {}
    for each in found:
        *above, last = each.split(".")
        if above and _VERSION.fullmatch(last):
            *above, last = above
        word = "".join(letter for letter in last.lower() if letter.isalnum())
        if each.casefold() == name.casefold() or word in known:
            ranks[each] = (len(above), known.index(word) if word in known else -1)
    return min(ranks, key=ranks.__getitem__, default="")
