"""The index of a data set's titles: arrays in a folder, made once and memory-mapped after that.

`titles.npy` holds the bytes of the distinct titles in the order of their first records, `title_offsets` where each
begins. `keys` are the titles' 64-bit keys in ascending order, `key_titles` their titles. `rows` are the numbers of the
records, grouped by title, `row_offsets` where each title's begin. The other arrays are those of `Grams`.
Records are numbered through the data set: its splits in the order of SPLITS, in each the shards in order.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from command.progress import ProgressBar
from contract.keys import title_keys
from trainer.lookup.grams import SEGMENT_TITLES, Grams, fold, make_segment, norms_of, weights_of

VERSION: Final = 1  # to be raised when the arrays of an index change
ABOUT: Final = "index.json"
_TITLE_ARRAYS: Final = ("titles", "title_offsets", "keys", "key_titles", "rows", "row_offsets")
_GRAM_ARRAYS: Final = ("offsets", "starts", "postings", "weights", "norms")


@dataclass(frozen=True)
class TitleIndex:
    """Titles of a data set by number; see the module."""

    titles: np.ndarray  # uint8
    title_offsets: np.ndarray  # int64 [titles + 1]
    keys: np.ndarray  # uint64 [titles]
    key_titles: np.ndarray  # uint32 [titles]
    rows: np.ndarray  # uint32 [records]
    row_offsets: np.ndarray  # int64 [titles + 1]
    grams: Grams

    @property
    def num_titles(self) -> int:
        """Distinct titles."""
        return len(self.keys)

    def title(self, number: int) -> str:
        """A title; of a damaged index perhaps another text."""
        first, stop = self.title_offsets[number : number + 2]
        return self.titles[first:stop].tobytes().decode(errors="replace")

    def find(self, title: str) -> int | None:
        """The number of exactly this title."""
        key = title_keys(pa.array([title], pa.string()))[0]
        first, stop = np.searchsorted(self.keys, key, "left"), np.searchsorted(self.keys, key, "right")
        numbers = self.key_titles[first:stop].tolist()
        return next((number for number in numbers if self.title(number) == title), None)

    def rows_of(self, number: int) -> list[int]:
        """The numbers of all records of a title, ascending."""
        first, stop = self.row_offsets[number : number + 2]
        return self.rows[first:stop].tolist()

    def most_alike(self, folded: str, *, num: int) -> list[tuple[int, str]]:
        """The titles that share most with a folded question, best first; those with a line feed are left out."""
        numbers = self.grams.most_alike(folded, num=num).tolist()
        return [(number, title) for number in numbers if "\n" not in (title := self.title(number))]


def write_index(folder: Path, titles: Iterable[pa.StringArray], *, num_records: int, about: Mapping[str, Any]) -> None:
    """Writes the index of these titles, one a record, to an existing folder, and prints its progress.

    Holds all titles in memory. Of 1.36 million: about 20 s and 700 MB.
    """
    progress = ProgressBar("indexing the titles of the catalogue, once:")
    chunks, num_read = [], 0
    for chunk in titles:
        chunks.append(chunk)
        num_read += len(chunk)
        progress.show(num_read / num_records / 2, f"{num_read:,} records read")
    encoded = pc.dictionary_encode(pa.chunked_array(chunks, pa.string())).combine_chunks()
    chunks.clear()
    distinct, numbers = encoded.dictionary, encoded.indices.to_numpy()
    keys = np.concatenate([title_keys(some) for some in _slices(distinct)])
    order = np.argsort(keys, kind="stable")
    offsets = np.frombuffer(distinct.buffers()[1], np.int32)[distinct.offset :][: len(distinct) + 1]
    arrays = {
        "titles": np.frombuffer(distinct.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]],
        "title_offsets": offsets.astype(np.int64) - offsets[0],
        "keys": keys[order],
        "key_titles": order.astype(np.uint32),
        "rows": np.argsort(numbers, kind="stable").astype(np.uint32),
        "row_offsets": np.append(0, np.cumsum(np.bincount(numbers, minlength=len(distinct)))),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    _write_grams(folder, distinct, progress)
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.npy")}
    (folder / ABOUT).write_text(json.dumps({**about, "version": VERSION, "bytes": sizes}, indent=1) + "\n")
    progress.done(f"{num_records:,} records, {len(distinct):,} titles")


def _slices(titles: pa.StringArray) -> Iterator[pa.StringArray]:
    for first in range(0, len(titles), SEGMENT_TITLES):
        yield titles.slice(first, SEGMENT_TITLES)


def _write_grams(folder: Path, titles: pa.StringArray, progress: ProgressBar) -> None:
    segments, nums = [], []
    for some in _slices(titles):
        # A cleaned title has no line feed; another's would count as two.
        segments.append(make_segment("\n".join([fold(title.replace("\n", " ")) for title in some.to_pylist()])))
        nums.append(len(some))
        progress.show(0.5 + sum(nums) / len(titles) / 2, f"{sum(nums):,} titles")
    weights = weights_of(segments, num_titles=len(titles))
    norms = [norms_of(each, weights, num_titles=num) for each, num in zip(segments, nums, strict=True)]
    starts = np.cumsum([0, *(len(segment.postings) for segment in segments)])
    arrays = {
        "offsets": np.stack([segment.offsets for segment in segments]),
        "starts": starts,
        "weights": weights,
        "norms": np.concatenate(norms),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    header = {"descr": "<u2", "fortran_order": False, "shape": (int(starts[-1]),)}
    with (folder / "postings.npy").open("wb") as file:  # without a copy of them all
        np.lib.format.write_array_header_1_0(file, header)
        for segment in segments:
            segment.postings.tofile(file)


def open_index(folder: Path, *, dataset_id: str) -> TitleIndex | None:
    """The index in this folder; None where it is missing, of another version or data set, or not whole."""
    try:
        about = json.loads((folder / ABOUT).read_text())
        sizes = {path.name: path.stat().st_size for path in folder.glob("*.npy")}
        if (about["version"], about["dataset_id"], about["bytes"]) != (VERSION, dataset_id, sizes):
            return None
        arrays = {name: _load(folder / f"{name}.npy") for name in (*_TITLE_ARRAYS, *_GRAM_ARRAYS)}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return TitleIndex(
        **{name: arrays[name] for name in _TITLE_ARRAYS}, grams=Grams(**{name: arrays[name] for name in _GRAM_ARRAYS})
    )


def _load(path: Path) -> np.ndarray:
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array.view(np.ndarray)  # a memmap's own slices are slow
