"""The statistics behind the data card, in two classes: each task makes one, and they can be merged in any order.

`ReadStatistics` describes the raw lines of a map task, `KeptStatistics` the records kept of a bucket. Merged statistics
of parts equal those of the whole, however it was cut. Their size has a bound that does not depend on the data.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.keys import key_words
from spark_jobs.counts.facts import count_facts, count_signs, texts_of_records
from spark_jobs.counts.histogram import Histogram, add_histograms, histogram
from spark_jobs.counts.ids import merge_ids, sample_ids
from spark_jobs.counts.tokens import count_tokens
from spark_jobs.counts.traits import TextTraits, count_characters, traits_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NUM_SAMPLES: Final = 20
SHOWN_CHARACTERS: Final = 1_000  # of a sample's raw title and raw content
_GROWTH: Final = 3  # cleaning turns a character into three at most
INPUT_BYTES_PER_SAMPLED: Final = 32 * 2**20  # see sampling_rate


class Sample(msgspec.Struct, frozen=True, order=True):
    """A record before and after cleaning. Texts are cut; a cleaned text holds at least what the cut raw one became.

    Samples are ordered by the first four fields, which decide which one of several equal records is kept.
    """

    key: bytes
    uid: str
    source: int
    offset: int
    raw_title: str
    raw_content: str
    title: str
    content: str
    raw_title_length: int  # before it was cut
    raw_content_length: int


class SourceLines(msgspec.Struct, frozen=True):
    """Lines of one input file."""

    num: int = 0
    num_unreadable: int = 0  # from which no fields could be read
    num_kept: int = 0  # duplicates among them

    def __add__(self, other: "SourceLines") -> "SourceLines":
        return SourceLines(
            self.num + other.num, self.num_unreadable + other.num_unreadable, self.num_kept + other.num_kept
        )


class ReadStatistics(msgspec.Struct, frozen=True):
    """Statistics of all lines that were read.

    `samples` are the records with the smallest keys. As keys are hashes, that is a random choice. Some samples may be
    rejected later as near duplicates; the keys of those that are kept are in `KeptStatistics.first_keys`.
    """

    num_lines: int = 0
    titles: TextTraits = TextTraits()
    contents: TextTraits = TextTraits()
    entities: dict[str, int] = {}  # by spelling, titles and contents together
    num_sampled: int = 0  # records whose characters were counted, titles and contents together
    raw_characters: dict[str, int] = {}  # by class
    kept_characters: dict[str, int] = {}
    facts: dict[str, int] = {}  # sampled records that hold each kind of facts before cleaning
    signs: dict[str, int] = {}  # how often each sign occurs in sampled records, as a browser shows them
    samples: tuple[Sample, ...] = ()
    notes: dict[str, int] = {}  # how often something of spark_jobs.input.notes happened
    ids: bytes = b""  # a sample of records that are kept, duplicates among them: see spark_jobs.counts.ids
    of_sources: dict[int, SourceLines] = {}  # by index in the sorted list of inputs


class KeptStatistics(msgspec.Struct, frozen=True):
    """Statistics of the records that are kept, each counted once. Tokens are counted of sampled records only."""

    title_lengths: Histogram = Histogram()  # in characters
    content_lengths: Histogram = Histogram()
    title_tokens: Histogram = Histogram()
    content_tokens: Histogram = Histogram()
    group_sizes: Histogram = Histogram()  # records with one key, the kept one included; no groups of one
    first_keys: tuple[bytes, ...] = ()  # the smallest ones


@dataclass(frozen=True)
class ReadBatch:
    """Lines of one input file, one row of each array a line. The texts of a line that could not be read are empty."""

    raw_titles: pa.StringArray
    raw_contents: pa.StringArray
    titles: pa.StringArray  # cleaned
    contents: pa.StringArray
    keys: pa.FixedSizeBinaryArray
    uids: pa.StringArray
    offsets: np.ndarray
    is_kept: np.ndarray  # true of duplicates too, which are not known yet
    source: int
    num_unreadable: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)


def sampling_rate(input_bytes: int) -> int:
    """The n for which characters and tokens are counted of one record in n: about ten thousand of a large catalogue.

    >>> sampling_rate(5_000_000), sampling_rate(1_800_000_000)
    (1, 53)
    """
    return max(1, input_bytes // INPUT_BYTES_PER_SAMPLED)


def count_read(batch: ReadBatch, *, one_in: int) -> ReadStatistics:
    """The statistics of a batch of lines. 0.7 us a line of 800 bytes, if characters are counted of few records."""
    titles, entities = traits_of(batch.raw_titles)
    contents, more_entities = traits_of(batch.raw_contents)
    is_sampled = pa.array(batch.is_kept & _is_sampled(batch.keys, one_in))
    raw_characters, kept_characters = (
        sum((count_characters(texts.filter(is_sampled)) for texts in pair), Counter())
        for pair in ((batch.raw_titles, batch.raw_contents), (batch.titles, batch.contents))
    )
    is_kept, num_lines = pa.array(batch.is_kept), len(batch.keys)
    shown = texts_of_records(batch.raw_titles.filter(is_sampled), batch.raw_contents.filter(is_sampled))
    return ReadStatistics(
        num_lines=num_lines,
        titles=titles,
        contents=contents,
        entities=entities + more_entities,
        num_sampled=is_sampled.true_count,
        raw_characters=raw_characters,
        kept_characters=kept_characters,
        facts=count_facts(shown),
        signs=count_signs(shown),
        samples=_samples(batch),
        notes=dict(batch.notes),
        ids=sample_ids(batch.uids.filter(is_kept), batch.keys.filter(is_kept)),
        of_sources={batch.source: SourceLines(num_lines, batch.num_unreadable, is_kept.true_count)}
        if num_lines
        else {},
    )


def count_kept(
    *,
    titles: pa.StringArray,
    contents: pa.StringArray,
    keys: pa.FixedSizeBinaryArray,
    duplicate_keys: pa.FixedSizeBinaryArray,
    one_in: int,
    tokenizer: "Tokenizer | None" = None,
) -> KeptStatistics:
    """The statistics of kept records, whose texts are cleaned. `duplicate_keys`: a key for each duplicate of them.

    All records and duplicates of one key must be in the same call. About 0.2 us a record; a tokenizer costs some 300 us
    for each sampled record.
    """
    title_tokens = content_tokens = Histogram()
    if tokenizer is not None:
        is_sampled = pa.array(_is_sampled(keys, one_in))
        title_tokens = histogram(count_tokens(titles.filter(is_sampled), tokenizer))
        content_tokens = histogram(count_tokens(contents.filter(is_sampled), tokenizer))
    return KeptStatistics(
        title_lengths=histogram(pc.utf8_length(titles).to_numpy()),
        content_lengths=histogram(pc.utf8_length(contents).to_numpy()),
        title_tokens=title_tokens,
        content_tokens=content_tokens,
        group_sizes=histogram(1 + pc.value_counts(duplicate_keys).field("counts").to_numpy()),
        first_keys=_first_keys(_with_small_first_word(keys).to_pylist()),
    )


def merge_read(parts: Iterable[ReadStatistics]) -> ReadStatistics:
    """The statistics of the lines of all parts together; without parts, those of no line."""
    parts = list(parts)
    return ReadStatistics(
        num_lines=sum(part.num_lines for part in parts),
        titles=_add_traits([part.titles for part in parts]),
        contents=_add_traits([part.contents for part in parts]),
        entities=_add_counts(part.entities for part in parts),
        num_sampled=sum(part.num_sampled for part in parts),
        raw_characters=_add_counts(part.raw_characters for part in parts),
        kept_characters=_add_counts(part.kept_characters for part in parts),
        facts=_add_counts(part.facts for part in parts),
        signs=_add_counts(part.signs for part in parts),
        samples=_first_samples(sample for part in parts for sample in part.samples),
        notes=_add_counts(part.notes for part in parts),
        ids=merge_ids(part.ids for part in parts),
        of_sources=_add_sources(part.of_sources for part in parts),
    )


def merge_kept(parts: Iterable[KeptStatistics]) -> KeptStatistics:
    """The statistics of the records of all parts together. No key may be in two parts."""
    parts = list(parts)
    return KeptStatistics(
        title_lengths=add_histograms(part.title_lengths for part in parts),
        content_lengths=add_histograms(part.content_lengths for part in parts),
        title_tokens=add_histograms(part.title_tokens for part in parts),
        content_tokens=add_histograms(part.content_tokens for part in parts),
        group_sizes=add_histograms(part.group_sizes for part in parts),
        first_keys=_first_keys(key for part in parts for key in part.first_keys),
    )


def _add_traits(parts: list[TextTraits]) -> TextTraits:
    return TextTraits(*(sum(getattr(part, name) for part in parts) for name in TextTraits.__struct_fields__))


def _add_counts(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part)
    return dict(sorted(counts.items()))


def _add_sources(parts: Iterable[dict[int, SourceLines]]) -> dict[int, SourceLines]:
    lines: dict[int, SourceLines] = {}
    for part in parts:
        for source, found in part.items():
            lines[source] = lines.get(source, SourceLines()) + found
    return dict(sorted(lines.items()))


def _first_samples(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The first sample of each of the smallest keys: the one that is kept of several equal records."""
    of_key: dict[bytes, Sample] = {}
    for sample in sorted(samples):
        of_key.setdefault(sample.key, sample)
    return tuple(of_key.values())[:NUM_SAMPLES]


def _first_keys(keys: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(keys)[:NUM_SAMPLES])


def _with_small_first_word(keys: pa.FixedSizeBinaryArray) -> pa.FixedSizeBinaryArray:
    """A few of the keys, with the smallest ones among them. To sort all keys would cost more than all other counts."""
    if len(keys) <= NUM_SAMPLES:
        return keys
    words = key_words(keys)[:, 0].astype(np.uint64)
    return keys.filter(pa.array(words <= np.partition(words, NUM_SAMPLES)[NUM_SAMPLES]))


def _samples(batch: ReadBatch) -> tuple[Sample, ...]:
    first_words = key_words(batch.keys)[:, 0]
    kept_words = first_words[batch.is_kept]
    smallest = np.unique(kept_words[kept_words < 2**64 // 64])  # enough in most batches, and much faster to sort
    if len(smallest) < NUM_SAMPLES:
        smallest = np.unique(kept_words)
    if not len(smallest):
        return ()
    rows = np.flatnonzero(batch.is_kept & (first_words <= smallest[:NUM_SAMPLES][-1])).tolist()
    rows.sort(key=lambda row: (batch.keys[row].as_py(), batch.uids[row].as_py(), batch.offsets[row]))
    first_rows = {batch.keys[row].as_py(): row for row in reversed(rows)}
    return _first_samples(_sample(batch, row) for row in first_rows.values())


def _sample(batch: ReadBatch, row: int) -> Sample:
    raw_title, raw_content, title, content = (
        texts[row].as_py() for texts in (batch.raw_titles, batch.raw_contents, batch.titles, batch.contents)
    )
    return Sample(
        key=batch.keys[row].as_py(),
        uid=batch.uids[row].as_py(),
        source=batch.source,
        offset=int(batch.offsets[row]),
        raw_title=_cut(raw_title),
        raw_content=_cut(raw_content),
        title=title[: _GROWTH * SHOWN_CHARACTERS],
        content=content[: _GROWTH * SHOWN_CHARACTERS],
        raw_title_length=len(raw_title),
        raw_content_length=len(raw_content),
    )


def _cut(text: str) -> str:
    """At most SHOWN_CHARACTERS, cut at the end of a word if there is one."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return text[:SHOWN_CHARACTERS].rpartition(" ")[0] or text[:SHOWN_CHARACTERS]


def _is_sampled(keys: pa.FixedSizeBinaryArray, one_in: int) -> np.ndarray:
    """Marks one record in n, by the end of its key: the start decides its bucket, and all buckets share this work."""
    return key_words(keys, ">u4")[:, -1] < 2**32 // one_in
