"""One line of a synthetic catalogue, made from nothing but the configuration and the line's number.

That lines are duplicates exactly where they should be rests on marks: every product's content (where the content is a
special one, its title) holds a name or a model number that no other line brings.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from random import Random
from typing import NamedTuple

from synth.broken import BREAKAGES, break_line
from synth.dirt import BLANKS, DamageRates, damage, spell_content, spell_title, visible_defects
from synth.grammars import books, goods, languages, media, nonfiction, wares
from synth.plan import Plan, SynthConfig, content_chars, plan_of, title_chars
from synth.text import Draw, Kind, Product, write_content, write_title

_UNTITLED = ("both_empty", "no_title")
_UNDESCRIBED = ("both_empty", "no_content")
_OUTCOMES = {"both_empty": "no_title", "no_title": "no_title", "no_content": "no_content", "duplicate": "duplicate"}

# Shares in percent.
_BOOKS = {
    books.NOVEL: 36,
    nonfiction.STUDY: 30,
    nonfiction.HANDBOOK: 16,
    books.PICTURE_BOOK: 11,
    languages.PORTUGUESE_BOOK: 3,
    languages.SPANISH: 1.5,
    languages.FRENCH: 1.5,
    languages.GERMAN: 1,
}
_ALL_SORTS = {
    media.MUSIC: 13,
    media.FILM: 10,
    books.NOVEL: 4,
    nonfiction.STUDY: 3,
    nonfiction.HANDBOOK: 2,
    goods.KITCHEN: 8,
    goods.TOOLS: 7,
    goods.ELECTRONICS: 9,
    goods.GARDEN: 4,
    goods.OFFICE: 4,
    goods.CAR: 5,
    wares.TOYS: 7,
    wares.CLOTHES: 9,
    wares.JEWELLERY: 3,
    wares.HEALTH: 6,
    wares.PETS: 3,
    wares.SPORTS: 5,
    languages.PORTUGUESE_GOODS: 2.5,
    languages.JAPANESE: 0.5,
}
_BOOK_KINDS, _ALL_KINDS = (
    tuple(kind for kind, share in shares.items() for _ in range(round(share * 2))) for shares in (_BOOKS, _ALL_SORTS)
)
_BOOK_DAMAGE = DamageRates(glued=0.3, boilerplate=0.2)
_OTHER_DAMAGE = DamageRates(glued=0.05, boilerplate=0.04)

_TEXT, _SPELLING = range(2)  # what a line draws for


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file, its line end included, and the truth about it."""

    data: bytes
    outcome: str  # "kept", or the reason for which the preparation must reject it
    defects: tuple[str, ...]


class _Texts(NamedTuple):
    """What is said of one product before it is spelled, and the defects that are part of it."""

    title: str
    content: str
    defects: tuple[str, ...] = ()


def make_line(config: SynthConfig, index: int) -> Line:
    """Line `index` of a catalogue, counted from 0."""
    plan = plan_of(config)
    role, place = plan.role_at(index)
    source = plan.original_of(index) if role == "duplicate" else index
    texts = _texts(plan, source)
    # Half of the copies are spelled like their original; all are where a repair might depend on the spelling.
    alike = place % 2 == 0 or "mojibake" in texts.defects
    random = Random(plan.key(source if alike else index, salt=_SPELLING)).random
    fields = {
        "title": _empty(random) if role in _UNTITLED else spell_title(texts.title, random),
        "content": _empty(random) if role in _UNDESCRIBED else spell_content(texts.content, random),
    }
    data = _json_object(plan.uid(index), fields, random)
    if role == "broken":
        breakage = tuple(BREAKAGES)[place % len(BREAKAGES)]
        return Line(break_line(data, breakage, random) + b"\n", BREAKAGES[breakage], (breakage,))
    defects = (*texts.defects, *visible_defects(fields["title"] or "", fields["content"] or ""), *_hollow(fields))
    return Line(data + b"\n", _OUTCOMES.get(role, "kept"), defects)


def _texts(plan: Plan, index: int) -> _Texts:
    """What is said of the product of a line that copies no other line as a whole."""
    role, _ = plan.role_at(index)
    random = Random(plan.key(index, salt=_TEXT)).random
    if role == "junk":
        content = "test item not to bid " * int(2 + 30 * random())
        return _Texts(f"Test item {plan.code(index)}", content, ("junk_repeated",))
    product, title = _titled_product(plan, index, random)
    if role == "content_repeats_title":
        title = title if product["mark"] in title else f"{title} - {product['mark']}"
        return _Texts(title, title, ("content_repeats_title",))
    if role in _UNDESCRIBED:
        return _Texts(title, "")
    if role == "duplicate_title":
        namesake = plan.original_of(index, among=("product",))
        product, title = _titled_product(plan, namesake, Random(plan.key(namesake, salt=_TEXT)).random)
        product.become_another(random, mark=_mark(plan, index, product.kind))
    content = write_content(product, content_chars(random(), plan.config.mean_content_chars))
    rates = _BOOK_DAMAGE if index < plan.isbn_rows else _OTHER_DAMAGE
    content, defects = damage(content, random, rates=rates, boilerplate=product.pick("boilerplate"))
    return _Texts(title, content, (*defects, *([role] if role == "duplicate_title" else [])))


def _titled_product(plan: Plan, index: int, random: Draw) -> tuple[Product, str]:
    kinds = _BOOK_KINDS if index < plan.isbn_rows else _ALL_KINDS
    kind = kinds[int(random() * len(kinds))]
    product = Product(kind, random, mark=_mark(plan, index, kind))
    return product, write_title(product, title_chars(random()))


def _mark(plan: Plan, index: int, kind: Kind) -> str:
    return plan.person(index) if kind.mark == "person" else plan.code(index)


def _empty(random: Draw) -> str | None:
    """A field that says nothing, in one of the ways the catalogue has for it."""
    draw = random()
    if draw < 0.98:
        return ""
    return None if draw < 0.992 else BLANKS[int(random() * len(BLANKS))]


def _hollow(fields: Mapping[str, str | None]) -> Iterator[str]:
    if None in fields.values():
        yield "null_or_missing_field"
    if any(value in BLANKS for value in fields.values()):
        yield "blank_field"


def _json_object(uid: str, fields: Mapping[str, str | None], random: Draw) -> bytes:
    """The record as the catalogue writes it: one line of ASCII. Half of the null fields are left out."""
    texts = "".join(
        f'"{name}": {"null" if value is None else encode_basestring_ascii(value)}, '
        for name, value in fields.items()
        if value is not None or random() < 0.5
    )
    num_targets = 1 + int(60 * random() ** 2.9)
    first, step = random() * 1_200_000, 1 + random() * 1_500
    targets = ", ".join([str(int(first + step * (place + random()))) for place in range(num_targets)])
    weights = ", ".join(["1.0"] * num_targets)
    return f'{{"uid": "{uid}", {texts}"target_ind": [{targets}], "target_rel": [{weights}]}}'.encode("ascii")
