"""What the data card tells, as two records that tasks fill and anybody may add up in any order.

`ReadStatistics` is of the raw lines of a map task, `KeptStatistics` of a settled bucket. Sums over parts equal the
statistics of the whole, however it was cut. A record's size has a bound that does not depend on the data.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.keys import key_words
from spark_jobs.counts.histogram import Histogram, add_histograms, histogram
from spark_jobs.counts.tokens import count_tokens
from spark_jobs.counts.traits import TextTraits, count_characters, traits_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NUM_SAMPLES: Final = 20
SHOWN_CHARACTERS: Final = 1_000  # of a sample's raw title and raw content
_GROWTH: Final = 3  # no character becomes more than three by cleaning
INPUT_BYTES_PER_SAMPLED: Final = 32 * 2**20


class Sample(msgspec.Struct, frozen=True, order=True):
    """A record before and after cleaning. Texts are cut, but hold all that became of what is left of the raw ones.

    The first four fields are the order that decides which of several equal records is kept.
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


class ReadStatistics(msgspec.Struct, frozen=True):
    """Of lines as they were read, kept or not.

    `samples` are records with the smallest keys of all. As keys are hashes, that is a random choice. Some may turn out
    to be near duplicates; those that are kept have their keys in the `first_keys` of `KeptStatistics`.
    """

    num_lines: int = 0
    titles: TextTraits = TextTraits()
    contents: TextTraits = TextTraits()
    entities: dict[str, int] = {}  # by spelling, titles and contents together
    num_sampled: int = 0  # records whose characters were counted, titles and contents together
    raw_characters: dict[str, int] = {}  # by class
    kept_characters: dict[str, int] = {}
    samples: tuple[Sample, ...] = ()


class KeptStatistics(msgspec.Struct, frozen=True):
    """Of records that are kept, each once. Token counts are of sampled records only."""

    title_lengths: Histogram = Histogram()  # in characters
    content_lengths: Histogram = Histogram()
    title_tokens: Histogram = Histogram()
    content_tokens: Histogram = Histogram()
    group_sizes: Histogram = Histogram()  # records with one key, the kept one included; no groups of one
    first_keys: tuple[bytes, ...] = ()  # the smallest ones


@dataclass(frozen=True)
class ReadBatch:
    """Lines of one input file, a row of each array being one line. Texts of lines that could not be read are empty."""

    raw_titles: pa.StringArray
    raw_contents: pa.StringArray
    titles: pa.StringArray  # cleaned
    contents: pa.StringArray
    keys: pa.FixedSizeBinaryArray
    uids: pa.StringArray
    offsets: np.ndarray
    is_kept: np.ndarray  # duplicates included, as one cannot know yet
    source: int


def sampling_rate(input_bytes: int) -> int:
    """n, where characters and tokens are counted of one record in n: some ten thousand records of a large catalogue.

    >>> sampling_rate(5_000_000), sampling_rate(1_800_000_000)
    (1, 53)
    """
    return max(1, input_bytes // INPUT_BYTES_PER_SAMPLED)


def count_read(batch: ReadBatch, *, one_in: int) -> ReadStatistics:
    """Statistics of a batch of lines. 0.7 us a line of 800 bytes, if characters are counted of few records."""
    titles, entities = traits_of(batch.raw_titles)
    contents, more_entities = traits_of(batch.raw_contents)
    is_sampled = pa.array(batch.is_kept & _is_sampled(batch.keys, one_in))
    raw_characters, kept_characters = (
        sum((count_characters(texts.filter(is_sampled)) for texts in pair), Counter())
        for pair in ((batch.raw_titles, batch.raw_contents), (batch.titles, batch.contents))
    )
    return ReadStatistics(
        num_lines=len(batch.keys),
        titles=titles,
        contents=contents,
        entities=entities + more_entities,
        num_sampled=is_sampled.true_count,
        raw_characters=raw_characters,
        kept_characters=kept_characters,
        samples=_samples(batch),
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
    """Statistics of kept records (cleaned) and of the keys of their duplicates, all of a key at once.

    About 0.2 us a record; a tokenizer costs some 300 us for each record that is sampled.
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
    """Statistics of all the lines that the parts are of; of no parts, those of no line."""
    parts = list(parts)
    return ReadStatistics(
        num_lines=sum(part.num_lines for part in parts),
        titles=_add_traits([part.titles for part in parts]),
        contents=_add_traits([part.contents for part in parts]),
        entities=_add_counts(part.entities for part in parts),
        num_sampled=sum(part.num_sampled for part in parts),
        raw_characters=_add_counts(part.raw_characters for part in parts),
        kept_characters=_add_counts(part.kept_characters for part in parts),
        samples=_first_samples(sample for part in parts for sample in part.samples),
    )


def merge_kept(parts: Iterable[KeptStatistics]) -> KeptStatistics:
    """Statistics of all the records that the parts are of; right if no key is in two parts."""
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


def _first_samples(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The samples of the smallest keys, and of each key the first, which is the one that stays a record."""
    of_key: dict[bytes, Sample] = {}
    for sample in sorted(samples):
        of_key.setdefault(sample.key, sample)
    return tuple(of_key.values())[:NUM_SAMPLES]


def _first_keys(keys: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(keys)[:NUM_SAMPLES])


def _with_small_first_word(keys: pa.FixedSizeBinaryArray) -> pa.FixedSizeBinaryArray:
    """Few of the keys, the smallest ones among them: sorting all would cost more than all else that is counted."""
    if len(keys) <= NUM_SAMPLES:
        return keys
    words = key_words(keys)[:, 0].astype(np.uint64)
    return keys.filter(pa.array(words <= np.partition(words, NUM_SAMPLES)[NUM_SAMPLES]))


def _samples(batch: ReadBatch) -> tuple[Sample, ...]:
    first_words = key_words(batch.keys)[:, 0]
    kept_words = first_words[batch.is_kept]
    smallest = np.unique(kept_words[kept_words < 2**64 // 64])  # in most batches enough, and much less to sort
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
    """At most SHOWN_CHARACTERS, and where there is more, no half of a word if that can be."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return text[:SHOWN_CHARACTERS].rpartition(" ")[0] or text[:SHOWN_CHARACTERS]


def _is_sampled(keys: pa.FixedSizeBinaryArray, one_in: int) -> np.ndarray:
    """One record in n by the end of its key: the start decides on the bucket, and no bucket shall have all the work."""
    return key_words(keys, ">u4")[:, -1] < 2**32 // one_in
