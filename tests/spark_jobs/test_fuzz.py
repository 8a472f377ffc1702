"""Whatever a line holds, it comes out as one row, as the standard library's JSON and `contract.text.clean` say.

The full size: VITRINE_FUZZ_LINES=200000 (and VITRINE_FUZZ_SEED=1 for other lines) runs it through a whole preparation.
"""

import gzip
import io
import os
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.columns import REJECTED
from contract.reasons import KEPT, REASON_NAMES, REASONS
from contract.text.clean import clean_array
from contract.text.profiles import PROFILES, SEED
from contract.verify.data_set import verify
from spark_jobs.filters import Filters
from spark_jobs.input.fields import FieldNames
from spark_jobs.input.lines import iter_lines
from spark_jobs.input.parse import fields_of_lines
from spark_jobs.rows import CleaningRules, rows_of_fields
from tests.spark_jobs.catalogues import all_records, records
from tests.spark_jobs.conftest import Prepare
from tests.spark_jobs.input.mutations import MAX_LINE_BYTES, mutated_lines
from tests.spark_jobs.input.reference import read_line

NAMES: Final = FieldNames(uid="uid", title="title", content="content")
PLAIN: Final = CleaningRules(text_profile="seed", val_share=0.1, test_share=0.1, seed=0)
FILTERS: Final = Filters(
    min_title_chars=2, max_title_chars=60, min_content_chars=5, drop_repeated_titles=True, drop_repeated_phrases=True
)
OF_FILTERS: Final = ("title_length", "content_length", "repeats_title", "repeated_phrase")
LINES: Final = int(os.environ.get("VITRINE_FUZZ_LINES", "0"))
FIRST_SEED: Final = int(os.environ.get("VITRINE_FUZZ_SEED", "0"))
_BOM: Final = b"\xef\xbb\xbf"


class Expected(NamedTuple):
    """What must become of a line."""

    offset: int
    line: bytes
    reason: str | None  # None if it is kept
    uid: str | None  # None where it was not read, or there is none
    title: str  # cleaned; empty where it was not read
    content: str


def expected_of(data: bytes) -> list[Expected]:
    """By the standard library, a line at a time, but for the cleaning."""
    read, offset = [], 0
    for line in data.removesuffix(b"\n").split(b"\n"):
        read.append((offset, line, *_read(line.removeprefix(_BOM), len(line))))
        offset += len(line) + 1
    titles = clean_array(pa.array([fields[1] for *_, fields in read], pa.string()), SEED).to_pylist()
    contents = clean_array(pa.array([fields[2] for *_, fields in read], pa.string()), SEED).to_pylist()
    return [
        Expected(offset, line, reason or _judge(title, content), fields[0], title, content)
        for (offset, line, reason, fields), title, content in zip(read, titles, contents, strict=True)
    ]


def _read(line: bytes, num_bytes: int) -> tuple[str | None, tuple[str | None, str, str]]:
    """Why a line cannot be read, and its fields."""
    return ("too_long", (None, "", "")) if num_bytes > MAX_LINE_BYTES else read_line(line, NAMES)


def _judge(title: str, content: str) -> str | None:
    return "no_title" if not title else "no_content" if not content else None


def rows_of(data: bytes, *, chunk_bytes: int, rules: CleaningRules = PLAIN) -> list[dict]:
    """What the preparation's own functions make of a file."""
    rows = []
    for lines in iter_lines(
        io.BytesIO(data), start=0, end=None, max_line_bytes=MAX_LINE_BYTES, chunk_bytes=chunk_bytes
    ):
        batch, _ = rows_of_fields(fields_of_lines(lines, NAMES), source=0, rules=rules)
        batch.validate(full=True)
        rows += batch.to_pylist()
    return rows


def rows_or_the_line_that_crashes(data: bytes, *, chunk_bytes: int, rules: CleaningRules = PLAIN) -> list[dict]:
    """The rows; where that fails, an AssertionError with the one line that does it, if it does so alone."""
    try:
        return rows_of(data, chunk_bytes=chunk_bytes, rules=rules)
    except Exception as error:
        for line in data.split(b"\n"):
            try:
                rows_of(b"{}\n" + line + b"\n", chunk_bytes=chunk_bytes, rules=rules)
            except Exception as alone:
                raise AssertionError(f"crash on the line {line!r}") from alone
        raise AssertionError("crash on these lines together only") from error


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + 5))
def test_every_line_becomes_the_row_that_the_standard_library_says(seed: int) -> None:
    data = b"".join(line + b"\n" for line in islice(mutated_lines(seed), 1_000))
    expected = expected_of(data)
    rows = rows_or_the_line_that_crashes(data, chunk_bytes=(300_000, 20_000, 4_000_000)[seed % 3])

    assert [row["offset"] for row in rows] == [line.offset for line in expected]
    for line, row in zip(expected, rows, strict=True):
        reason = None if row["reason"] == KEPT else REASON_NAMES[row["reason"]]
        found = (reason, row["uid"], row["title"], row["content"])
        uid = row["key"].hex() if line.reason is None and line.uid is None else line.uid
        assert found == (line.reason, uid, line.title, line.content if line.reason is None else ""), line.line


@pytest.mark.parametrize("profile", PROFILES)
def test_filters_only_take_from_what_is_kept(profile: str) -> None:
    data = b"".join(line + b"\n" for line in islice(mutated_lines(FIRST_SEED), 2_000))
    plain = replace(PLAIN, text_profile=profile)
    before = rows_of(data, chunk_bytes=1_000_000, rules=plain)
    after = rows_or_the_line_that_crashes(data, chunk_bytes=1_000_000, rules=replace(plain, filters=FILTERS))

    taken = Counter(
        REASON_NAMES[filtered["reason"]]
        for row, filtered in zip(before, after, strict=True)
        if row["reason"] != filtered["reason"]
    )
    assert {"title_length", "content_length"} <= taken.keys() <= set(OF_FILTERS)
    assert sum(taken.values()) == sum(row["reason"] == KEPT for row in before) - sum(
        row["reason"] == KEPT for row in after
    )


# Put between `{` and `}`: what looks like a line, or several, or like a part of one that goes on in the next.
TOKENS: Final = st.sampled_from(
    [
        *'{}[],:"\\',
        '"title": "T"',
        '"content": "C"',
        '"x": ',
        "{}",
        "1",
        " ",
        "}{",
        '"x": "',
        '"x": [{',
        '"x": {"y": {}',
        "null",
    ]
)
WHOLE: Final = st.just('"title": "T", "content": "C"')
LOOKS_WHOLE: Final = st.one_of(WHOLE, st.lists(TOKENS, max_size=6).map("".join)).map(
    lambda text: f"{{{text}}}".encode()
)


@settings(deadline=None, max_examples=600)
@given(lines=st.lists(LOOKS_WHOLE, min_size=1, max_size=4))
def test_lines_that_look_whole_are_not_taken_for_their_neighbours(lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    rows = rows_or_the_line_that_crashes(data, chunk_bytes=1_000_000)

    assert [None if row["reason"] == KEPT else REASON_NAMES[row["reason"]] for row in rows] == [
        line.reason for line in expected_of(data)
    ]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_texts_of_broken_lines_come_out_clean(profile: object) -> None:
    data = b"\n".join(islice(mutated_lines(FIRST_SEED), 1_000))
    raw = pa.array([data[start : start + 400].decode(errors="replace") for start in range(0, len(data), 400)])
    cleaned = clean_array(raw, profile)

    assert clean_array(cleaned, profile).equals(cleaned)
    assert not pc.any(pc.match_substring_regex(cleaned, r"\p{C}|\p{Z}\p{Z}|^\p{Z}|\p{Z}$")).as_py()


def test_the_same_seed_gives_the_same_lines() -> None:
    first, again, other = (list(islice(mutated_lines(seed), 300)) for seed in (1, 1, 2))

    assert first == again != other


def test_the_lines_are_of_all_kinds() -> None:
    data = b"".join(line + b"\n" for line in islice(mutated_lines(FIRST_SEED), 5_000))
    reasons = Counter(line.reason for line in expected_of(data))

    assert all(reasons[reason] >= 10 for reason in (None, *REASON_NAMES[:6])), reasons


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.skipif(not LINES, reason="VITRINE_FUZZ_LINES does not say how many broken lines to prepare")
def test_a_preparation_of_broken_lines_loses_none(run: Prepare, tmp_path: Path) -> None:
    lines = list(islice(mutated_lines(FIRST_SEED), LINES))
    expected: dict[str, list[Expected]] = {}
    for name, part in (("a.json", lines[: LINES // 2]), ("b.json.gz", lines[LINES // 2 :])):
        data = b"".join(line + b"\n" for line in part)
        (tmp_path / name).write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
        expected[str(tmp_path / name)] = expected_of(data)
    manifest = run(
        tmp_path / "*.json*", tmp_path / "out", shard_rows=10_000, max_line_bytes=MAX_LINE_BYTES, partitions=3
    )

    every = [line for some in expected.values() for line in some]
    kept = {(line.title, line.content) for line in every if line.reason is None}
    reasons = Counter(line.reason for line in every)
    assert manifest.rows.input == len(every) >= LINES
    assert manifest.rows.kept == len(kept)
    assert Counter(manifest.rows.rejected) == Counter(
        {reason: reasons[reason] for reason in REASONS} | {"duplicate": reasons[None] - len(kept)}
    )
    assert {(record["title"], record["content"]) for record in all_records(tmp_path / "out")} == kept
    places = {
        (row["source"], row["offset"]): row["reason"]
        for row in records(tmp_path / "out", REJECTED)
        if row["reason"] != "duplicate"
    }
    assert places == {
        (source, line.offset): line.reason for source, some in expected.items() for line in some if line.reason
    }
    assert verify(str(tmp_path / "out")).findings.examples == []
