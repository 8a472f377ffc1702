"""Where the records are in a text of JSON values, as its first bytes show."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from contract.errors import UserError
from spark_jobs.input.documents.shape import BLANKS, BOM, TOKENS
from spark_jobs.input.fields import FieldNames
from spark_jobs.input.records.values import top_fields

_FEWEST_KEYED: Final = 2  # objects of an object that holds one product a key


@dataclass(frozen=True)
class Place:
    """Where the records are: at the top, in lists, or in an object that holds one record a key."""

    depth: int = 0  # brackets around the lists, or around the object
    is_top: bool = True  # objects outside any list are records, and the items of a list around all
    passed_over: frozenset[bytes] = frozenset()  # keys of lists of that depth that hold no records, as they are spelt
    is_keyed: bool = False  # the values of one object are the records
    key: bytes | None = None  # of that object; None for the one around all


@dataclass(eq=False)
class _List:
    """A list of the text's start, or an object seen as a list of its values: what its objects hold."""

    depth: int = 0
    keys: tuple[bytes, ...] = ()  # from the top to it
    is_keyed: bool = False
    inside: "tuple[_List, ...]" = ()  # the others that it lies in
    num_objects: int = 0
    names: set[str] = field(default_factory=set)  # of the fields of its objects

    @property
    def shown(self) -> str:
        """Its path as jq spells it."""
        return "".join(f".{_unescape(key)}" for key in self.keys) + "[]"


def has_pages(start: bytes, names: FieldNames) -> bool:
    """Whether the lines of JSON lines are pages, as the first shows: both texts are in objects of a list only."""
    top, lists = _lists_of(start.removeprefix(BOM).lstrip(BLANKS).partition(b"\n")[0])
    wanted = [top_fields(names.title), top_fields(names.content)]
    return not any(each & top.names for each in wanted) and any(
        all(each & inner.names for each in wanted) for inner in lists if not inner.is_keyed
    )


def find_place(start: bytes, names: FieldNames, *, path: str = "the input") -> Place:
    """Where the records are in a text of shape VALUES: at the top, unless only objects further in have a title.

    All lists of one depth hold records, but those whose objects have neither title nor description. Where no object has
    a title at all, it is the list with most objects. UserError where products lie at several depths.
    """
    top, lists = _lists_of(start)
    wanted = [top_fields(names.title), top_fields(names.content)]

    def score(each: _List) -> tuple[int, bool]:
        return sum(bool(fields & each.names) for fields in wanted), bool(wanted[0] & each.names)

    is_object = start.removeprefix(BOM).lstrip(BLANKS).startswith(b"{")
    best = max(map(score, lists), default=(0, False))
    if score(top)[0] and (score(top) >= best or not is_object or top.num_objects > 1):
        return Place()
    likely = [each for each in lists if best[0] and score(each) == best]
    outer = [each for each in likely if not any(other in likely for other in each.inside)]
    chosen = max(outer, key=lambda each: each.num_objects, default=None)
    if chosen is None:
        fullest = max((each for each in lists if not each.is_keyed), key=lambda each: each.num_objects, default=None)
        if not (is_object and fullest):
            return Place()
        return _lists_at(fullest.depth, lists, is_read=lambda each: each.keys[-1] == fullest.keys[-1])
    elsewhere = [each for each in outer if (each.depth, each.is_keyed) != (chosen.depth, chosen.is_keyed)]
    if best[0] == len(wanted) and (elsewhere or (chosen.is_keyed and len(outer) > 1)):
        other = next(each for each in (elsewhere or outer) if each is not chosen)
        raise UserError(
            f"{path} holds products in several places, {chosen.shown} and {other.shown}: write the right ones to a file"
            f" of their own, one object a line, as jq -c '{chosen.shown}' does"
        )
    if chosen.is_keyed:
        return Place(chosen.depth, is_top=False, is_keyed=True, key=chosen.keys[-1] if chosen.keys else None)
    return _lists_at(chosen.depth, lists, is_read=lambda each: score(each)[0] > 0)


def _lists_at(depth: int, lists: Sequence[_List], *, is_read: Callable[[_List], bool]) -> Place:
    """The place of the lists of this depth; passed over are those of keys of which none is read."""
    beside = [each for each in lists if each.depth == depth and not each.is_keyed]
    read = {each.keys[-1] for each in beside if is_read(each)}
    return Place(depth, is_top=False, passed_over=frozenset({each.keys[-1] for each in beside} - read))


def _lists_of(start: bytes) -> tuple[_List, list[_List]]:
    """The objects at the top, as those of a list; and the lists below that have a name and hold objects, in order.

    Among them objects of several objects, outside any list: they may hold one record a key.
    """
    top, lists = _List(), list[_List]()
    open_lists: list[_List] = []  # for each open bracket
    names_of: list[set[str]] = []  # for each open bracket the names of the fields of its object
    key = None
    for token in TOKENS.finditer(start):
        sign = token[0]
        if sign in (b"{", b"["):
            parent = open_lists[-1] if open_lists else top
            keys = (*parent.keys, key) if open_lists and key is not None else parent.keys
            found = _List(len(open_lists), keys, is_keyed=sign == b"{", inside=tuple(open_lists))
            if sign == b"{":
                parent.num_objects += 1
                names_of.append(parent.names)
                if all(each.is_keyed for each in open_lists):
                    lists.append(found)
            else:
                names_of.append(set())
                if not open_lists:
                    found = top
                elif key is not None:
                    lists.append(found)
            open_lists.append(found)
        elif sign in (b"}", b"]"):
            del open_lists[-1:], names_of[-1:]
        elif token[2] and names_of:
            names_of[-1].add(_unescape(token[1]))
        key = token[1] if token[2] else None
    return top, [each for each in lists if each.num_objects >= (_FEWEST_KEYED if each.is_keyed else 1)]


def _unescape(key: bytes) -> str:
    try:
        return str(json.loads(b'"' + key + b'"'))
    except ValueError:
        return key.decode(errors="replace")
