"""One line of a made-up catalogue, made from nothing but the settings and the line's number.

Lines are duplicates exactly where they should be, because of marks: the content of each product (or its title, where
the content is empty or repeats it) holds a name or a model number that no other line has.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from random import Random
from typing import NamedTuple

from contract.reasons import REASONS
from synth.broken import BREAKAGES, break_line
from synth.config import SynthConfig
from synth.dirt import BLANKS, DamageRates, damage, spell_content, spell_title, visible_defects
from synth.kinds import Kind, load_mixture
from synth.plan import Plan, content_chars, plan_of, title_chars
from synth.text import Draft, Draw, write_content, write_title

_UNTITLED = ("both_empty", "no_title")
_UNDESCRIBED = ("both_empty", "no_content")
_OUTCOMES = {"both_empty": "no_title", "no_title": "no_title", "no_content": "no_content", "duplicate": "duplicate"}
# Every reason for which a preparation rejects lines of a synthetic catalogue, in order of precedence.
REJECTIONS = tuple(name for name in REASONS if name in (*_OUTCOMES.values(), *BREAKAGES.values()))

_BOOK_DAMAGE = DamageRates(glued=0.3, boilerplate=0.2)
_OTHER_DAMAGE = DamageRates(glued=0.05, boilerplate=0.04)

_TEXT, _SPELLING = range(2)  # salts: a line draws its text and its spelling from two seeds


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file, its line end included, and the truth about it."""

    data: bytes
    outcome: str  # "kept", or the reason for which the preparation must reject it
    defects: tuple[str, ...]


class _Texts(NamedTuple):
    """Title and content of one product before they are spelled, and the defects that they have by then."""

    title: str
    content: str
    defects: tuple[str, ...] = ()


def make_line(config: SynthConfig, index: int) -> Line:
    """Line `index` of a catalogue, counted from 0."""
    plan = plan_of(config)
    role, number = plan.role_at(index)
    source = plan.original_of(index) if role == "duplicate" else index
    texts = _texts(plan, source)
    # Half of the copies are spelled like their original, and all with mojibake: its repair may depend on the spelling.
    alike = number % 2 == 0 or "mojibake" in texts.defects
    random = Random(plan.key(source if alike else index, salt=_SPELLING)).random
    fields = {
        "title": _empty(random) if role in _UNTITLED else spell_title(texts.title, random),
        "content": _empty(random) if role in _UNDESCRIBED else spell_content(texts.content, random),
    }
    data = _json_object(plan.uid(index), fields, random)
    if role == "broken":
        breakage = tuple(BREAKAGES)[number % len(BREAKAGES)]
        return Line(break_line(data, breakage, random) + b"\n", BREAKAGES[breakage], (breakage,))
    defects = (*texts.defects, *visible_defects(fields["title"] or "", fields["content"] or ""), *_emptiness(fields))
    return Line(data + b"\n", _OUTCOMES.get(role, "kept"), defects)


def _texts(plan: Plan, index: int) -> _Texts:
    """Title and content of a line that is no duplicate."""
    role, _ = plan.role_at(index)
    random = Random(plan.key(index, salt=_TEXT)).random
    if role == "junk":
        content = "test item not to bid " * int(2 + 30 * random())
        return _Texts(f"Test item {plan.code(index)}", content, ("junk_repeated",))
    draft, title = _titled_draft(plan, index, random)
    if role == "content_repeats_title":
        title = title if draft["mark"] in title else f"{title} - {draft['mark']}"
        return _Texts(title, title, ("content_repeats_title",))
    if role in _UNDESCRIBED:
        return _Texts(title, "")
    if role == "duplicate_title":
        namesake = plan.original_of(index, among=("product",))
        draft, title = _titled_draft(plan, namesake, Random(plan.key(namesake, salt=_TEXT)).random)
        draft.become_another(random, mark=_mark(plan, index, draft.kind))
    content = write_content(draft, content_chars(random(), plan.config.mean_content_chars))
    rates = _BOOK_DAMAGE if index < plan.isbn_rows else _OTHER_DAMAGE
    content, defects = damage(content, random, rates=rates, boilerplate=draft.pick("boilerplate"))
    return _Texts(title, content, (*defects, *([role] if role == "duplicate_title" else [])))


def _titled_draft(plan: Plan, index: int, random: Draw) -> tuple[Draft, str]:
    kinds = load_mixture("books" if index < plan.isbn_rows else "all kinds")
    kind = kinds[int(random() * len(kinds))]
    draft = Draft(kind, random, mark=_mark(plan, index, kind))
    return draft, write_title(draft, title_chars(random()))


def _mark(plan: Plan, index: int, kind: Kind) -> str:
    return plan.person(index) if kind.mark == "person" else plan.code(index)


def _empty(random: Draw) -> str | None:
    """An empty field, in one of the ways in which the catalogue writes it."""
    draw = random()
    if draw < 0.98:
        return ""
    return None if draw < 0.992 else BLANKS[int(random() * len(BLANKS))]


def _emptiness(fields: Mapping[str, str | None]) -> Iterator[str]:
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
    targets = ", ".join([str(int(first + step * (number + random()))) for number in range(num_targets)])
    weights = ", ".join(["1.0"] * num_targets)
    return f'{{"uid": "{uid}", {texts}"target_ind": [{targets}], "target_rel": [{weights}]}}'.encode("ascii")
