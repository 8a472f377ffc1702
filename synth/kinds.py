"""Kinds of products, read from the files in `grammars`; the top of `grammars/words.txt` explains their format."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from contract.errors import UserError, unknown_name

Pools = Mapping[str, tuple[str, ...]]

_FIRST_FILE: Final = "words.txt"
_WEIGHTS: Final = "weights.txt"
_NAMES: Final = "names"  # the section from which last names are made
_NEEDED: Final = ("fixed", "titles", "extras", "leads", "briefs", "details", "shorts", "boilerplate")
# Values of settings: a regular expression, and the same in words.
_SETTINGS: Final = {
    "like": (".+", "a section"),
    "mark": ("person|code", "person or code"),
    "language": ("[a-z]{2}", "a code of two letters"),
}
_WEIGHT: Final = (r"(?!0(\.0)?$)\d+(\.[05])?", "a number such as 4 or 1.5")

_LINE: Final = re.compile(
    r"\[(?P<section>.+)\]|(?P<setting>\w[\w ]*) = (?P<value>.+)|(?P<pool>\w+)(?P<more>\+?):(?P<first>.*)|\s(?P<rest>.+)"
)
_BRACE: Final = re.compile("[{}]")
_SLOT: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of product: its grammar, and what tells its products apart."""

    name: str
    pools: Pools
    mark: str  # "person" (who made it) or "code" (its model number)
    language: str


@cache
def load_kinds() -> Mapping[str, Kind]:
    """All kinds of products by name, read once; about 0.1 s."""
    names = sorted(file.name for file in files("synth.grammars").iterdir() if file.name.endswith(".txt"))
    others = [name for name in names if name not in (_FIRST_FILE, _WEIGHTS)]
    return read_kinds({name: _file_text(name) for name in (_FIRST_FILE, *others)})


@cache
def load_mixture(part: str) -> tuple[Kind, ...]:
    """The kinds in a part of the catalogue (a section of weights.txt), each as often as its weight says."""
    return read_mixture(_file_text(_WEIGHTS), part=part, kinds=load_kinds())


@cache
def load_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """English first names and last names, none of them twice."""
    pools = _read_sections({_FIRST_FILE: _file_text(_FIRST_FILE)})[_NAMES].pools
    return _texts_of(pools["first"]), _texts_of(_pools_of_names(pools)["surname"])


def _file_text(name: str) -> str:
    return (files("synth.grammars") / name).read_text(encoding="utf-8")


def read_kinds(texts: Mapping[str, str]) -> dict[str, Kind]:
    """The kinds of products in the texts of some files, by name. UserError names file and line of each mistake."""
    kinds = {}
    for name, section in _read_sections(texts).items():
        if "mark" not in section.settings:
            continue
        if problems := list(dict.fromkeys(_problems(name, section))):
            raise UserError("; ".join(problems))
        pools = {pool: _texts_of(entries) for pool, entries in section.pools.items()}
        settings = {setting: entry.text for setting, entry in section.settings.items()}
        kinds[name] = Kind(name, pools, mark=settings["mark"], language=settings.get("language", "en"))
    return kinds


def read_mixture(text: str, *, part: str, kinds: Mapping[str, Kind]) -> tuple[Kind, ...]:
    """What `load_mixture` gives, from the text of weights.txt. UserError names the line of a mistake."""
    weights = _read_sections({_WEIGHTS: text}, settings=dict.fromkeys(kinds, _WEIGHT))[part].settings
    return tuple(kinds[name] for name, weight in weights.items() for _ in range(round(2 * float(weight.text))))


class _Entry(NamedTuple):
    """An entry of a pool, or the value of a setting, and where it stands, such as `books.txt:12`."""

    text: str
    where: str


@dataclass
class _Section:
    """A section with all that it has from others."""

    where: str
    settings: dict[str, _Entry] = field(default_factory=dict)
    pools: dict[str, list[_Entry]] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)  # the pools that stand in the section itself


def _read_sections(
    texts: Mapping[str, str], *, settings: Mapping[str, tuple[str, str]] = _SETTINGS
) -> dict[str, _Section]:
    """The sections of some files, by name. `settings` are the settings that a section may have, with their values."""
    sections: dict[str, _Section] = {}
    for where, line in _lines(texts):
        found = _LINE.fullmatch(line)
        if found and found["section"]:
            if found["section"] in sections:
                raise UserError(f"{where}: there is a section {line} already")
            section = sections[found["section"]] = _Section(where)
            entries = None
        elif found and found["setting"] and sections:
            _set(section, found["setting"], _Entry(found["value"], where), known=settings)
            if found["setting"] == "like":
                section.pools = _pools_like(found["value"], sections, where) | section.pools
        elif found and found["pool"] and sections:
            entries = _open_pool(section, found["pool"], where, extended=bool(found["more"]))
            entries += _entries(found["first"], where)
        elif found and found["rest"] and entries is not None:
            entries += _entries(found["rest"], where)
        else:
            raise UserError(f"{where}: {line!r} is no [section], 'setting = value', 'pool: entries' or indented line")
    for name, section in sections.items():
        if empty := [pool for pool, entries in section.pools.items() if not entries]:
            raise UserError(f"{section.where}: pools of [{name}] without an entry: {', '.join(empty)}")
    return sections


def _lines(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each line that is not blank and no comment, after file and number."""
    for file, text in texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.startswith("#"):
                yield f"{file}:{number}", line


def _set(section: _Section, name: str, value: _Entry, *, known: Mapping[str, tuple[str, str]]) -> None:
    if name not in known:
        raise UserError(f"{value.where}: {unknown_name('setting', name, known)}")
    pattern, expected = known[name]
    if not re.fullmatch(pattern, value.text):
        raise UserError(f"{value.where}: {name} = {value.text!r}, expected {expected}")
    section.settings[name] = value


def _pools_like(base: str, sections: Mapping[str, _Section], where: str) -> dict[str, list[_Entry]]:
    if base not in sections:
        raise UserError(f"{where}: {unknown_name('section', base, sections)}")
    pools = sections[base].pools
    return _pools_of_names(pools) if base == _NAMES else pools


def _pools_of_names(pools: Mapping[str, list[_Entry]]) -> dict[str, list[_Entry]]:
    """The pools first, surname and last out of first names and the halves of last names."""
    names = {start.text + end.text: start for start in pools["beginning"] for end in pools["ending"]}
    surnames = [_Entry(name, start.where) for name, start in names.items()]
    return {"first": pools["first"] * 3, "last": surnames[::6], "surname": surnames}


def _open_pool(section: _Section, name: str, where: str, *, extended: bool) -> list[_Entry]:
    """The entries of a pool that begins here; more can be added to the list."""
    if name in section.own:
        raise UserError(f"{where}: this section has a pool {name!r} already")
    if extended and name not in section.pools:
        raise UserError(f"{where}: {unknown_name('pool', name, section.pools)}")
    section.own.add(name)
    section.pools[name] = [*section.pools[name]] if extended else []
    return section.pools[name]


def _entries(text: str, where: str) -> Iterator[_Entry]:
    for part in filter(None, map(str.strip, text.split("|"))):
        if span := re.fullmatch(r"(\d+)\.\.(\d+)", part):
            yield from (_Entry(str(number), where) for number in range(int(span[1]), int(span[2]) + 1))
        else:
            yield _Entry(_typographic(part), where)


def _typographic(text: str) -> str:
    text = re.sub(r'"([^"]*)"', "\u201c\\1\u201d", text.replace("''", "\u2033"))
    return text.replace("'", "\u2019").replace("--", "\u2014").replace("...", "\u2026")


def _texts_of(entries: list[_Entry]) -> tuple[str, ...]:
    return tuple(entry.text for entry in entries)


def _problems(name: str, section: _Section) -> Iterator[str]:
    """What is wrong with a kind of product: that no two of its products are alike rests on their marks."""
    pools = section.pools
    if missing := [pool for pool in _NEEDED if pool not in pools]:
        yield f"{section.where}: [{name}] has no {', '.join(missing)}"
        return
    for text, where in pools["leads"] + pools["briefs"]:
        if "{mark}" not in text:
            yield f"{where}: {text!r} has no {{mark}}"
    for text, where in pools["fixed"]:
        if text not in pools:
            yield f"{where}: {unknown_name('pool', text, pools)}"
    for text, where in (entry for entries in pools.values() for entry in entries if _BRACE.search(entry.text)):
        if _BRACE.search(_SLOT.sub("", text)):
            yield f"{where}: a brace without its other half in {text!r}"
        for slot in _SLOT.findall(text):
            pool = slot if slot in pools else (slot[0].lower() + slot[1:]).removeprefix("other_")
            if pool not in pools and pool != "mark":
                yield f"{where}: {unknown_name('pool', pool, pools)}"
