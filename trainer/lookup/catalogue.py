"""Look-up of a title in prepared data sets: its records, exactly or by likeness, or the nearest titles.

The index of titles is made at the first look-up, once for each content of a data set, and memory-mapped after that. It
finds titles; what is told of a record is always read from its shard, whose bytes are checked.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.errors import UserError
from contract.manifest import Manifest, read_manifest
from contract.text.clean import replace_lone_surrogates
from trainer.config import parse_data
from trainer.lookup.cache import cached_index, remake_index
from trainer.lookup.grams import fold
from trainer.lookup.index import TitleIndex, write_index
from trainer.lookup.likeness import likeness, num_slips
from trainer.lookup.records import Records, all_titles

_NUM_ALIKE: Final = 100  # titles that are compared word by word
_NUM_COMPARED: Final = 20
_NUM_NEAREST: Final = 5
_LEAST_LIKENESS: Final = 0.5  # of a title that is offered
_LONGEST: Final = 4_000  # characters of a question that is compared; a longer one is only looked up exactly


@dataclass(frozen=True)
class Source:
    """A record of the catalogue, as its shard has it."""

    uid: str
    title: str
    text: str
    data: str  # path or URL of the data set
    shard: str  # path in the data set
    row: int  # in the shard, from 0


@dataclass(frozen=True)
class Nearest:
    """A title that is offered in place of one that is not there, and its first record. Its text is not read."""

    title: str
    data: str
    shard: str
    row: int


@dataclass(frozen=True)
class Found:
    """What the catalogue has for a title."""

    sources: tuple[Source, ...]  # all records of that title; () where the catalogue has none
    is_exact: bool  # False: the title is another, which the question means; trainer.lookup.likeness has the rule
    nearest: tuple[Nearest, ...] = ()  # the nearest titles, best first, where nothing was found
    num_records: int = 0  # of that title; `sources` holds the first of them


@dataclass
class _Part:
    """A data set of the catalogue."""

    root: str
    manifest: Manifest
    records: Records
    index: TitleIndex

    def source(self, number: int, title: str) -> Source | None:
        """The record of this number; None where its title is another: then the index is wrong."""
        if number >= self.records.num:
            return None
        uid, found, text = self.records.read(number)
        shard, row = self.records.place(number)
        return Source(uid, found, text, self.root, shard, row) if found == title else None


@dataclass(frozen=True)
class _Candidate:
    title: str
    likeness: float
    folded: str
    num_slips: int | None  # None: the question means another title


class Catalogue:
    """Data sets in which titles are looked up; several threads may do so at the same time."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts

    @property
    def num_records(self) -> int:
        """Records of all data sets."""
        return sum(part.records.num for part in self._parts)

    def find(self, title: str, *, most: int = 20) -> Found:
        """The records of a title that was cleaned by the data's profile, or of the title that it means.

        Where it means none, the nearest titles. A title without a letter or number is found only exactly. Of the
        records of one title the first `most` are read, and all are counted: a catalogue may have hundreds.
        DamagedShardError where the shard of a record is damaged.
        """
        title = replace_lone_surrogates(title)
        if number := self._num_records(title):
            return Found(self._sources([title], most), is_exact=True, num_records=number)
        candidates = self._candidates(title)
        if meant := _meant(candidates):
            return Found(self._sources(meant, most), is_exact=False, num_records=sum(map(self._num_records, meant)))
        near = [each.title for each in candidates if each.likeness >= _LEAST_LIKENESS]
        return Found((), is_exact=False, nearest=tuple(map(self._nearest, near[:_NUM_NEAREST])))

    def close(self) -> None:
        """Ends look-ups that wait for a store."""
        for part in self._parts:
            part.records.close()

    def _sources(self, titles: Sequence[str], most: int) -> tuple[Source, ...]:
        """The first records of exactly these titles. An index that names another record for one is made again."""
        sources: list[Source] = []
        for title in titles:
            for part in self._parts:
                sources += _sources_in(part, title, most=most - len(sources))
        return tuple(sources)

    def _num_records(self, title: str) -> int:
        numbers = [(part.index, part.index.find(title)) for part in self._parts]
        return sum(len(index.rows_of(number)) for index, number in numbers if number is not None)

    def _candidates(self, title: str) -> list[_Candidate]:
        """The titles most like this one, best first."""
        asked = fold(title)
        if not asked or len(asked) > _LONGEST:
            return []
        titles = [title for part in self._parts for title in part.index.most_alike(asked, num=_NUM_ALIKE)]
        folded = fold("\n".join(titles)).split("\n") if titles else []
        alike = {title: (likeness(asked, other), other) for title, other in zip(titles, folded, strict=True)}
        best = heapq.nlargest(_NUM_COMPARED, alike, key=alike.__getitem__)
        return [_Candidate(title, *alike[title], num_slips(asked, alike[title][1])) for title in best]

    def _nearest(self, title: str) -> Nearest:
        part, number = next((part, number) for part in self._parts if (number := part.index.find(title)) is not None)
        return Nearest(title, part.root, *part.records.place(part.index.rows_of(number)[0]))


def _meant(candidates: Sequence[_Candidate]) -> list[str]:
    """The title that a question means, with those that differ from it only in case, accents or punctuation.

    Empty where it means none, or where it may mean several.
    """
    fitting = [each for each in candidates if each.num_slips is not None]
    fewest = min((each.num_slips for each in fitting if each.num_slips is not None), default=0)
    best = [each for each in fitting if each.num_slips == fewest]
    return [each.title for each in best] if len({each.folded for each in best}) == 1 else []


def open_catalogue(data: Sequence[str]) -> Catalogue:
    """The catalogue in these folders or URLs of prepared data sets, which may have a weight as for training.

    Makes the index of each that has none yet in the user's cache. UserError where a data set is missing or damaged, or
    was cleaned by another profile than the first.
    """
    if not data or isinstance(data, str):
        raise UserError(f"data = {data!r}, expected a list of at least one folder of a prepared data set")
    parts: list[_Part] = []
    for root, _ in map(parse_data, data):
        manifest = read_manifest(root)
        if parts and manifest.text_profile != parts[0].manifest.text_profile:
            raise UserError(
                f"{root} was cleaned by profile {manifest.text_profile!r}, {parts[0].root} by"
                f" {parts[0].manifest.text_profile!r}: a title can be cleaned by one profile only"
            )
        index = cached_index(manifest.dataset_id, lambda folder: _make(folder, root, manifest))  # noqa: B023
        parts.append(_Part(root, manifest, Records(root, manifest), index))
    return Catalogue(parts)


def _make(folder: Path, root: str, manifest: Manifest) -> None:
    about: dict[str, Any] = {"dataset_id": manifest.dataset_id, "data": root}
    write_index(folder, all_titles(root, manifest), about)


def _sources_in(part: _Part, title: str, *, most: int) -> list[Source]:
    for remake in (False, True):
        if remake:
            part.index = remake_index(part.manifest.dataset_id, lambda folder: _make(folder, part.root, part.manifest))
        number = part.index.find(title)
        if number is None:
            return []
        found = [part.source(row, title) for row in part.index.rows_of(number)[:most]]
        sources = [source for source in found if source is not None]
        if len(sources) == len(found):
            return sources
    raise AssertionError(f"an index that was just made names records of {title!r} that have another title")
