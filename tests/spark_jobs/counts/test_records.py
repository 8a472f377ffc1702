"""Statistics of parts merge to those of the whole, which are equal to counts by plain Python."""

import doctest
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from contract.errors import UserError
from contract.keys import record_key
from contract.text.clean import clean
from spark_jobs.counts import records as counting
from spark_jobs.counts.histogram import Histogram, histogram
from spark_jobs.counts.records import (
    NUM_SAMPLES,
    SHOWN_CHARACTERS,
    KeptStatistics,
    ReadBatch,
    ReadStatistics,
    count_read,
    merge_kept,
    merge_read,
)
from spark_jobs.counts.tokens import count_tokens, load_tokenizer, read_tokenizer
from spark_jobs.counts.traits import NUM_CODE_POINTS, class_of
from tests.spark_jobs.input.read_batches import Line, batch_of, kept_of, settled, slice_of

WORDS = ["Mug", "red", "Café", "&amp;", "&#x2019;s", "<b>", "</b>", "茶", "5 cm,", "..", '"', ""]


def lines_of(count: int, *, seed: int = 0) -> list[Line]:
    """Lines of few words, so that some are empty and many are duplicates."""
    draw = random.Random(seed)
    return [
        Line(
            offset,
            uid=str(draw.randrange(count)),
            title=" ".join(draw.choices(WORDS, k=draw.randrange(4))),
            content=" ".join(draw.choices(WORDS, k=draw.randrange(6))),
        )
        for offset in range(count)
    ]


def cut(lines: Sequence[Line], cuts: Sequence[int]) -> list[Sequence[Line]]:
    return [lines[start:end] for start, end in pairwise([0, *sorted(cuts), len(lines)])]


CUTS = st.lists(st.integers(0, 60), max_size=6)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 9), one_in=st.sampled_from([1, 3]), cuts=CUTS, order=st.randoms())
def test_statistics_of_read_lines_do_not_depend_on_the_cut(
    seed: int, one_in: int, cuts: list[int], order: random.Random
) -> None:
    lines = lines_of(60, seed=seed)
    whole = count_read(batch_of(lines), one_in=one_in)
    parts = [count_read(batch_of(part), one_in=one_in) for part in cut(lines, cuts)]
    order.shuffle(parts)
    middle = len(parts) // 2
    assert merge_read(parts) == whole
    assert merge_read([merge_read(parts[:middle]), merge_read(parts[middle:])]) == whole
    assert msgspec.json.decode(msgspec.json.encode(whole), type=ReadStatistics) == whole


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 9), num_buckets=st.integers(1, 5), order=st.randoms())
def test_statistics_of_kept_records_do_not_depend_on_the_buckets(
    seed: int, num_buckets: int, order: random.Random
) -> None:
    records, duplicates = settled(batch_of(lines_of(200, seed=seed)))
    assert duplicates
    order.shuffle(duplicates)
    whole = kept_of(records, duplicates)
    parts = [
        kept_of(
            [record for record in records if record[0][0] % num_buckets == bucket],
            [key for key in duplicates if key[0] % num_buckets == bucket],
        )
        for bucket in range(num_buckets)
    ]
    order.shuffle(parts)
    assert merge_kept(parts) == whole
    assert merge_kept([merge_kept(parts[:1]), merge_kept(parts[1:])]) == whole
    assert msgspec.json.decode(msgspec.json.encode(whole), type=KeptStatistics) == whole


def test_nothing_adds_nothing() -> None:
    read, kept = count_read(batch_of(lines_of(50)), one_in=1), kept_of(*settled(batch_of(lines_of(50))))
    assert merge_read([read, ReadStatistics()]) == read
    assert merge_kept([KeptStatistics(), kept]) == kept
    assert count_read(batch_of([]), one_in=1) == merge_read([]) == ReadStatistics()
    assert kept_of([], []) == merge_kept([]) == KeptStatistics()


def test_read_lines_are_counted_as_plain_python_counts_them() -> None:
    lines = lines_of(300)
    read = count_read(batch_of(lines), one_in=1)
    kept = [line for line in lines if clean(line.title) and clean(line.content)]
    assert 0 < len(kept) < len(lines) == read.num_lines
    assert read.titles.num_texts == sum(bool(line.title) for line in lines)
    assert read.contents.num_with_entity == sum("&" in line.content for line in lines)
    assert read.contents.num_with_tag == sum("b>" in line.content for line in lines)
    assert read.entities["&#x2019;"] == sum((line.title + line.content).count("&#x2019;") for line in lines)
    assert read.num_sampled == len(kept)
    assert read.raw_characters == Counter(class_of(char) for line in kept for char in line.title + line.content)
    assert read.kept_characters == Counter(
        class_of(char) for line in kept for char in clean(line.title) + clean(line.content)
    )


@pytest.mark.parametrize("count", [1, 15, 400])
def test_samples_are_the_records_with_the_smallest_keys(count: int) -> None:
    lines = lines_of(count, seed=count)
    first: dict[bytes, Line] = {}
    for line in sorted(lines, key=lambda line: (line.uid, line.offset)):
        if clean(line.title) and clean(line.content):
            first.setdefault(record_key(clean(line.title), clean(line.content)), line)
    expected = [(key, line.uid, line.offset, line.title, line.content) for key, line in sorted(first.items())]

    read = count_read(batch_of(lines), one_in=1)
    assert [(s.key, s.uid, s.offset, s.raw_title, s.raw_content) for s in read.samples] == expected[:NUM_SAMPLES]
    assert all((s.title, s.content) == (clean(s.raw_title), clean(s.raw_content)) for s in read.samples)
    records, duplicates = settled(batch_of(lines))
    assert list(kept_of(records, duplicates).first_keys) == [sample.key for sample in read.samples]


def test_a_batch_of_one_record_repeated_has_one_sample() -> None:
    lines = [Line(offset, f"{99 - offset:02d}", "Mug", "Holds tea") for offset in range(100)]
    (sample,) = count_read(batch_of(lines), one_in=1).samples
    assert (sample.uid, sample.offset) == ("00", 99)


def test_long_texts_of_samples_are_cut_between_words() -> None:
    long = "&#8217;word " * SHOWN_CHARACTERS
    (sample,) = count_read(batch_of([Line(0, "u", "x" * 2 * SHOWN_CHARACTERS, long)]), one_in=1).samples
    assert sample.raw_title == "x" * SHOWN_CHARACTERS
    assert SHOWN_CHARACTERS - 12 <= len(sample.raw_content) <= SHOWN_CHARACTERS
    assert set(sample.raw_content.split()) == {"&#8217;word"}
    assert sample.content.startswith(clean(sample.raw_content))
    assert (sample.raw_title_length, sample.raw_content_length) == (2 * SHOWN_CHARACTERS, len(long))


def test_lengths_are_in_characters_of_kept_records() -> None:
    records = [(bytes([row]) * 16, "é" * row, "茶" * row * row) for row in range(1, 30)]
    kept = kept_of(records, [])
    assert kept.title_lengths == histogram(np.arange(1, 30))
    assert kept.content_lengths == histogram(np.arange(1, 30) ** 2)
    assert kept.title_tokens == kept.group_sizes == Histogram()


def test_group_sizes_count_the_record_that_is_kept() -> None:
    records, duplicates = settled(batch_of(lines_of(300)))
    sizes = [1 + count for count in Counter(duplicates).values()]
    assert max(sizes) > 2
    assert kept_of(records, duplicates).group_sizes == histogram(np.array(sizes))


@pytest.fixture
def word_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(3)  # as a model's file may have it
    tokenizer.enable_padding(length=3)
    return tokenizer


def test_tokens_are_counted_of_sampled_records(word_tokenizer: Tokenizer, tmp_path: Path) -> None:
    word_tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_tokenizer(read_tokenizer(str(tmp_path)))
    records = [(row.to_bytes(16, "big"), "a " * row, "b " * 2 * row) for row in range(1, 50)]
    records += [(bytes(12) + bytes([row] * 4), "c " * 1_000, "d") for row in range(100, 250)]
    kept = kept_of(records, [], one_in=4, tokenizer=tokenizer)
    sampled = [record for record in records if int.from_bytes(record[0][-4:], "big") < 2**30]
    assert len(sampled) == 49
    assert kept.title_tokens == histogram(np.arange(1, 50))
    assert kept.content_tokens == histogram(2 * np.arange(1, 50))
    assert kept.title_lengths.num == len(records)
    assert count_tokens(pa.array(["", "a b"]), tokenizer).tolist() == [0, 2]


@pytest.mark.parametrize("content", [None, b"{}", b"\xff\xfe", b"not JSON"])
def test_a_file_that_is_no_tokenizer_is_a_user_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    for given_path in (path, tmp_path):
        with pytest.raises(UserError, match=r"tokenizer\.json"):
            read_tokenizer(str(given_path))


def test_about_one_record_in_n_is_sampled_for_its_characters() -> None:
    lines = [Line(row, str(row), f"Mug {row}", "Holds tea") for row in range(3_000)]
    assert 240 < count_read(batch_of(lines), one_in=10).num_sampled < 360


def test_the_size_of_statistics_does_not_grow_with_the_data() -> None:
    codes = [*range(NUM_CODE_POINTS + 9), *range(0x10000, 0x10009 + NUM_CODE_POINTS)]
    texts = [f"&#{code};&#x{code:X};&name{code};{chr(code)}<t{code}>" for code in codes]
    half, whole = (read_as_they_are(texts[:end]) for end in (len(texts) // 2, len(texts)))
    assert whole.entities.keys() == half.entities.keys()
    assert len(msgspec.json.encode(whole)) < 1.03 * len(msgspec.json.encode(half))  # numbers have more digits


def read_as_they_are(texts: list[str]) -> ReadStatistics:
    """Statistics of these contents, as if cleaning had changed nothing."""
    titles, contents = slice_of(["Mug"] * len(texts)), slice_of(texts)
    batch = ReadBatch(
        raw_titles=titles,
        raw_contents=contents,
        titles=titles,
        contents=contents,
        keys=slice_of([row.to_bytes(16, "big") for row in range(len(texts))], pa.binary(16)),
        uids=slice_of([str(row) for row in range(len(texts))]),
        offsets=np.arange(len(texts)),
        is_kept=np.ones(len(texts), np.bool_),
        source=0,
    )
    return count_read(batch, one_in=1)


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(counting)
    assert (result.failed, result.attempted > 0) == (0, True)
