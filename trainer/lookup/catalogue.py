"""Look-up of a title in prepared data sets: its records, exactly or by likeness, or the nearest titles.

The index of titles is made at the first look-up, once for each content of a data set, and memory-mapped after that. It
finds titles; what is told of a record is always read from its shard, whose bytes are checked.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contract.errors import UserError
from contract.manifest import read_manifest
from contract.text.clean import replace_lone_surrogates
from trainer.config import parse_data
from trainer.lookup.data_set import IndexedData, Nearest, Source, WrongIndexError, open_data_set
from trainer.lookup.grams import fold
from trainer.lookup.index import TitleIndex
from trainer.lookup.likeness import likeness, num_slips

__all__ = ["Catalogue", "Found", "Nearest", "Source", "open_catalogue"]

_NUM_ALIKE: Final = 50  # titles of a data set that are compared letter by letter
_NUM_COMPARED: Final = 20  # and word by word
_NUM_NEAREST: Final = 5
_LEAST_LIKENESS: Final = 0.5  # of a title that is offered
_LONGEST: Final = 4_000  # characters of a question that is compared; a longer one is only looked up exactly


@dataclass(frozen=True)
class Found:
    """What the catalogue has for a title."""

    sources: tuple[Source, ...]  # all records of that title; () where the catalogue has none
    is_exact: bool  # False: the title is another, which the question means; trainer.lookup.likeness has the rule
    nearest: tuple[Nearest, ...] = ()  # the nearest titles, best first, where nothing was found
    num_records: int = 0  # of that title; `sources` holds the first of them


@dataclass(frozen=True)
class _Place:
    """A title in one of the data sets."""

    data: IndexedData
    index: TitleIndex
    number: int


@dataclass(frozen=True)
class _Candidate:
    """A title that a question may mean."""

    title: str
    folded: str
    likeness: float
    num_slips: int | None  # None: the question means another title
    places: tuple[_Place, ...]


class Catalogue:
    """Data sets in which titles are looked up; several threads may do so at the same time."""

    def __init__(self, data: Sequence[IndexedData]) -> None:
        self._data = data

    @property
    def num_records(self) -> int:
        """Records of all data sets."""
        return sum(each.records.num for each in self._data)

    def find(self, title: str, *, most: int = 20) -> Found:
        """The records of a title that was cleaned by the data's profile, or of the title that it means.

        Where it means none, the nearest titles. A title without a letter or number is found only exactly. Of the
        records of one title the first `most` are read, and all are counted: a catalogue may have hundreds.
        DamagedShardError where the shard of a record is damaged.
        """
        title = replace_lone_surrogates(title)
        indexes = [each.index for each in self._data]
        try:
            return self._find(title, indexes, most=most)
        except WrongIndexError:
            for data, index in zip(self._data, indexes, strict=True):
                data.remake(index)
        return self._find(title, [each.index for each in self._data], most=most)

    def close(self) -> None:
        """Ends look-ups that wait for a store."""
        for each in self._data:
            each.records.close()

    def _find(self, title: str, indexes: Sequence[TitleIndex], *, most: int) -> Found:
        pairs = list(zip(self._data, indexes, strict=True))
        numbers = [(data, index, index.find(title)) for data, index in pairs]
        if exact := [_Place(data, index, number) for data, index, number in numbers if number is not None]:
            return _found(exact, is_exact=True, most=most)
        candidates = _candidates(title, pairs)
        if meant := [place for each in _meant(candidates) for place in each.places]:
            return _found(meant, is_exact=False, most=most)
        near = [each.places[0] for each in candidates if each.likeness >= _LEAST_LIKENESS][:_NUM_NEAREST]
        return Found((), is_exact=False, nearest=tuple(at.data.nearest(at.index, at.number) for at in near))


def _found(places: Sequence[_Place], *, is_exact: bool, most: int) -> Found:
    sources: list[Source] = []
    for at in places:
        sources += at.data.sources(at.index, at.number, most=most - len(sources))
    num_records = sum(len(at.index.rows_of(at.number)) for at in places)
    return Found(tuple(sources), is_exact=is_exact, num_records=num_records)


def _candidates(title: str, pairs: Sequence[tuple[IndexedData, TitleIndex]]) -> list[_Candidate]:
    """The titles most like this one, best first."""
    asked = fold(title)
    if not asked or len(asked) > _LONGEST:
        return []
    places: dict[str, list[_Place]] = {}
    for data, index in pairs:
        for number, other in index.most_alike(asked, num=_NUM_ALIKE):
            places.setdefault(other, []).append(_Place(data, index, number))
    titles = list(places)
    folded = dict(zip(titles, fold("\n".join(titles)).split("\n"), strict=True)) if titles else {}
    alike = {title: likeness(asked, other) for title, other in folded.items()}
    return [
        _Candidate(other, folded[other], alike[other], num_slips(asked, folded[other]), tuple(places[other]))
        for other in heapq.nlargest(_NUM_COMPARED, alike, key=alike.__getitem__)
    ]


def _meant(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The title that a question means, with those that differ from it only in case, accents or punctuation.

    Empty where it means none, or where it may mean several.
    """
    fewest = min((each.num_slips for each in candidates if each.num_slips is not None), default=None)
    best = [each for each in candidates if each.num_slips is not None and each.num_slips == fewest]
    return best if len({each.folded for each in best}) == 1 else []


def open_catalogue(data: Sequence[str]) -> Catalogue:
    """The catalogue in these folders or URLs of prepared data sets, which may have a weight as for training.

    Makes the index of each that has none yet in the user's cache. UserError where a data set is missing or damaged, or
    was cleaned by another profile than the first.
    """
    if not data or isinstance(data, str):
        raise UserError(f"data = {data!r}, expected a list of at least one folder of a prepared data set")
    opened: list[IndexedData] = []
    for root, _ in map(parse_data, data):
        manifest = read_manifest(root)
        if opened and manifest.text_profile != opened[0].manifest.text_profile:
            raise UserError(
                f"{root} was cleaned by profile {manifest.text_profile!r}, {opened[0].root} by"
                f" {opened[0].manifest.text_profile!r}: a title can be cleaned by one profile only"
            )
        if not manifest.rows.kept:
            raise UserError(f"{root} holds no records: no title can be looked up in it")
        opened.append(open_data_set(root, manifest))
    return Catalogue(opened)
