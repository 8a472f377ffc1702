"""Elements of an XML document become records, without the document being held."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, NoReturn
from xml.parsers import expat

from contract.errors import UserError
from spark_jobs.input.fields import FieldNames
from spark_jobs.input.records.values import top_fields

_MOST_DEPTH: Final = 8  # of fields below a record that have a name
_SIGN_ERRORS: Final = tuple(
    expat.errors.codes[each] for each in (expat.errors.XML_ERROR_INVALID_TOKEN, expat.errors.XML_ERROR_TAG_MISMATCH)
)
_DECLARED: Final = re.compile(rb"""<\?xml[^>]*encoding\s*=\s*["'](utf-?(?:16|32))""", re.IGNORECASE)


class XmlRecord(NamedTuple):
    """One element that is a record.

    Its fields are the texts of the elements within, by name: with the prefix as in `g:title` and without it, a field
    below another with a dot between. A name without a prefix goes before the same name with one.
    """

    offset: int  # in the document
    num_bytes: int
    fields: dict[str, list[str]]


class XmlTag(NamedTuple):
    """Elements of one name."""

    depth: int  # the number of elements that they lie in
    name: str


class XmlRecords(NamedTuple):
    """The elements that are records: all of one depth that hold what the likeliest hold."""

    depth: int
    names: frozenset[str]  # of these elements at the start of the document
    passed_over: frozenset[str]  # names of elements of that depth that hold less there
    wanted: tuple[frozenset[str], ...]  # names of the fields of title and description
    least: int  # of these two that a record holds

    def holds(self, name: str, fields: Iterable[str]) -> bool:
        """Whether an element of this name that holds these fields is a record."""
        found = set(fields)
        return name in self.names or 0 < self.least <= sum(bool(each & found) for each in self.wanted)


def encoding_to_force(start: bytes, *, asked: str | None) -> str | None:
    """UTF-8 where the document was decoded, so that what it says of its encoding is past; or None to believe it."""
    return "utf-8" if asked or _DECLARED.search(start) else None


def find_records(start: bytes, names: FieldNames, *, path: str, encoding: str | None) -> XmlRecords:
    """The elements that are records, as the start of the document shows.

    They hold title and description, or one of them; of several depths it is that of the most frequent element, then the
    innermost. Where none does, it is the most frequent that holds anything. UserError where no element holds another.
    """
    children: dict[XmlTag, set[str]] = defaultdict(set)
    counts: Counter[XmlTag] = Counter()
    open_tags: list[XmlTag] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        tag = XmlTag(len(open_tags), name)
        counts[tag] += 1
        children[tag] |= attributes.keys()
        if open_tags:
            children[open_tags[-1]] |= {name, name.rpartition(":")[2]}
        open_tags.append(tag)

    parser = _parser(path, encoding)
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: open_tags.pop()
    _parse(parser, start, path=path)
    wanted = (frozenset(top_fields(names.title)), frozenset(top_fields(names.content)))
    found = [tag for tag, inner in children.items() if inner]
    if not found:
        raise UserError(
            f"{path} is XML, but no element in its first {len(start)} bytes holds others: it has no products"
        )
    scores = {tag: sum(bool(each & children[tag]) for each in wanted) for tag in children}
    best = max(found, key=lambda tag: (scores[tag], counts[tag], tag.depth))
    kinds = {best} if not scores[best] else {tag for tag in found if scores[tag] == scores[best]}
    passed_over = frozenset(tag.name for tag in children if tag.depth == best.depth and tag not in kinds)
    names_there = frozenset(tag.name for tag in kinds if tag.depth == best.depth)
    return XmlRecords(best.depth, names_there, passed_over, wanted, scores[best])


class RecordParser:
    """Cuts records out of a document that comes in chunks."""

    def __init__(self, records: XmlRecords, *, path: str, encoding: str | None, max_record_bytes: int) -> None:
        self._records = records
        self._path = path
        self._max_record_bytes = max_record_bytes
        self._depth = 0
        self._done: list[XmlRecord] = []
        self._start: int | None = None  # of the record that is open
        self._names: list[str] = []  # of the open elements below it
        self._texts: list[list[str]] = []  # of the open elements from the record on
        self._fields: dict[str, list[str]] = {}
        self._others: dict[str, list[str]] = {}  # by names without their prefixes
        self._parser = _parser(path, encoding)
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._add
        self._parser.DefaultHandlerExpand = self._add_unknown

    def feed(self, chunk: bytes, *, is_last: bool = False) -> list[XmlRecord]:
        """The records that end in this chunk. UserError where the document is no XML."""
        _parse(self._parser, chunk, path=self._path, is_last=is_last)
        done, self._done = self._done, []
        return done

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if self._start is not None:
            self._names.append(name)
            self._texts.append([])
            self._store_all(attributes)
        elif self._depth == self._records.depth and name not in self._records.passed_over:
            self._start = self._parser.CurrentByteIndex
            self._texts, self._fields, self._others = [[]], {}, {}
            self._store_all(attributes)
        self._depth += 1

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._start is None:
            return
        text = " ".join("".join(self._texts.pop()).split("\0"))
        if self._names:
            self._store(self._names, text)
            self._names.pop()
            self._texts[-1] += ["\0", text, "\0"]
            return
        fields = self._fields | {each: texts for each, texts in self._others.items() if each not in self._fields}
        if self._records.holds(name, (each.partition(".")[0] for each in fields)):
            self._done.append(XmlRecord(self._start, self._parser.CurrentByteIndex - self._start, fields))
        self._start = None

    def _add(self, text: str) -> None:
        if self._start is not None and self._parser.CurrentByteIndex - self._start <= self._max_record_bytes:
            self._texts[-1].append(text)

    def _add_unknown(self, text: str) -> None:
        """Entities of HTML, which no document declares, are for the cleaning of texts."""
        if text.startswith("&"):
            self._add(text)

    def _store_all(self, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            if not name.startswith("xmlns"):
                self._store([*self._names, name], value)

    def _store(self, names: list[str], text: str) -> None:
        if len(names) <= _MOST_DEPTH:
            name, bare = ".".join(names), ".".join(name.rpartition(":")[2] for name in names)
            self._fields.setdefault(name, []).append(text)
            if bare != name:
                self._others.setdefault(bare, []).append(text)


def _parser(path: str, encoding: str | None) -> Any:  # expat's type has no name
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True

    def refuse(name: str, *_: object) -> NoReturn:
        raise UserError(f"{path} declares an entity of its own, {name!r}, which is not read: export it without a DTD")

    parser.EntityDeclHandler = refuse
    parser.UseForeignDTD(True)  # so that an entity of HTML, such as &nbsp;, is no error
    return parser


def _parse(parser: Any, chunk: bytes, *, path: str, is_last: bool = False) -> None:
    try:
        parser.Parse(chunk, is_last)
    except expat.ExpatError as error:
        hint = "a text must have &amp; for & and &lt; for <; " if error.code in _SIGN_ERRORS else ""
        raise UserError(f"{path} is no sound XML: {error}; {hint}export it again, or as CSV or JSON lines") from error
