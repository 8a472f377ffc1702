"""One data set of a catalogue: its index names records, its shards say what they are."""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from contract.manifest import Manifest
from trainer.lookup.cache import cached_index, remake_index
from trainer.lookup.index import TitleIndex, write_index
from trainer.lookup.records import Records, all_titles


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


class WrongIndexError(Exception):
    """The index names a record that is not there, or has another title."""


@dataclass
class IndexedData:
    """A data set whose titles are indexed. Threads may share it."""

    root: str
    manifest: Manifest
    records: Records
    index: TitleIndex
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sources(self, index: TitleIndex, number: int, *, most: int) -> list[Source]:
        """The first records of the title that has this number in this index; WrongIndexError where it is none."""
        title, rows = index.title(number), index.rows_of(number)
        if not rows:
            raise WrongIndexError
        return [self._source(row, title) for row in rows[:most]]

    def _source(self, row: int, title: str) -> Source:
        if row >= self.records.num:
            raise WrongIndexError
        uid, found, text = self.records.read(row)
        if found != title:
            raise WrongIndexError
        return Source(uid, found, text, self.root, *self.records.place(row))

    def nearest(self, index: TitleIndex, number: int) -> Nearest:
        """The title that has this number in this index, to be offered."""
        rows = index.rows_of(number)
        if not rows or rows[0] >= self.records.num:
            raise WrongIndexError
        return Nearest(index.title(number), self.root, *self.records.place(rows[0]))

    def remake(self, wrong: TitleIndex) -> None:
        """Makes the index again, unless another thread has done it."""
        with self._lock:
            if self.index is wrong:
                self.index = remake_index(self.manifest.dataset_id, lambda to: _make(to, self.root, self.manifest))


def open_data_set(root: str, manifest: Manifest) -> IndexedData:
    """The data set with its index from the user's cache, which is made where there is none."""
    index = cached_index(manifest.dataset_id, lambda folder: _make(folder, root, manifest))
    return IndexedData(root, manifest, Records(root, manifest), index)


def _make(folder: Path, root: str, manifest: Manifest) -> None:
    about = {"dataset_id": manifest.dataset_id, "data": root if "://" in root else os.path.abspath(root)}
    write_index(folder, all_titles(root, manifest), num_records=manifest.rows.kept, about=about)
