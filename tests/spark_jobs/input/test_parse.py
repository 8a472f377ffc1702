"""What becomes of a line, against a reference that goes line by line with the standard library."""

import dataclasses
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.columns import RAW_PREFIX_BYTES, SPLITS
from contract.keys import record_key, split_of
from contract.reasons import KEPT, REASON_NAMES
from contract.text.clean import clean
from spark_jobs.input.fields import FieldNames
from spark_jobs.input.lines import iter_lines
from spark_jobs.input.parse import fields_of_lines
from spark_jobs.rows import ROW_SCHEMA, CleaningRules, rows_of_fields
from tests.spark_jobs import nasty
from tests.spark_jobs.input.reference import read_line

NAMES = FieldNames(uid="uid", title="title", content="content")
RULES = CleaningRules(text_profile="seed", val_share=0.2, test_share=0.2, seed=7)


def parse(lines: list[bytes], *, first_offset: int = 100) -> list[dict]:
    """Rows of these lines, of which none begins its file."""
    file = io.BytesIO(b"".join(line + b"\n" for line in lines))
    (block,) = iter_lines(file, start=0, end=None, max_line_bytes=nasty.MAX_LINE_BYTES)
    fields = fields_of_lines(dataclasses.replace(block, first_offset=first_offset), NAMES)
    batch, _ = rows_of_fields(fields, source=3, rules=RULES)
    batch.validate(full=True)
    assert batch.schema == ROW_SCHEMA
    return batch.to_pylist()


def reason_of(row: dict) -> str:
    return nasty.KEPT if row["reason"] == KEPT else REASON_NAMES[row["reason"]]


def reference(line: bytes) -> tuple[str, str, str]:
    """(what becomes of it, cleaned title, cleaned content)."""
    reason, (_, *texts) = read_line(line, NAMES)
    title, content = map(clean, texts)
    return reason or ("no_title" if not title else "no_content" if not content else nasty.KEPT), title, content


@pytest.mark.parametrize("name", nasty.NASTY)
def test_nasty_line(name: str) -> None:
    line, expected = nasty.NASTY[name]
    (row,) = parse([line])
    # Whether a line is a duplicate is known only among all lines.
    assert reason_of(row) == (nasty.KEPT if expected == "duplicate" else expected)
    if expected != "too_long":
        reason, title, content = reference(line)
        assert (reason_of(row), row["title"]) == (reason, title)
        assert row["content"] == (content if reason == nasty.KEPT else "")
    if row["reason"] == KEPT:
        assert row["key"] == record_key(row["title"], row["content"])
        assert SPLITS[row["split"]] == split_of(row["title"], val_share=0.2, test_share=0.2, seed=7)


def test_a_nasty_line_does_not_change_its_neighbours() -> None:
    lines = [line for line, _ in nasty.NASTY.values()]
    together = parse(lines)
    offset = 100
    for line, row in zip(lines, together, strict=True):
        assert parse([line], first_offset=offset) == [row]
        offset += len(line) + 1


TEXTS = st.one_of(
    st.none(), st.text(max_size=20), st.sampled_from(["<b>x</b>", "&amp;lt;", "Ã©", "\ud800", "\udfff a"])
)
VALUES = st.one_of(TEXTS, st.integers(), st.booleans(), st.lists(st.integers(), max_size=2), st.floats())
OBJECTS = st.dictionaries(st.sampled_from(["uid", "title", "content", "x"]), VALUES, max_size=4)
JSON_LINES = st.builds(
    lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"),
    st.one_of(OBJECTS, VALUES),
    st.booleans(),
)
DAMAGED = st.builds(
    lambda line, at, byte: line[:at] + byte + line[at + 1 :], JSON_LINES, st.integers(0, 40), st.binary(max_size=2)
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(JSON_LINES, DAMAGED), min_size=1, max_size=6))
def test_any_lines_become_what_the_reference_says(lines: list[bytes]) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    for line, row in zip(lines, parse(lines), strict=True):
        reason, title, content = reference(line)
        assert (reason_of(row), row["title"]) == (reason, title)
        assert row["content"] == (content if reason == nasty.KEPT else "")


def test_a_byte_order_mark_is_taken_off_any_line() -> None:
    marked = b"\xef\xbb\xbf" + nasty.line()
    assert reason_of(parse([marked], first_offset=0)[0]) == nasty.KEPT
    assert reason_of(parse([marked], first_offset=9)[0]) == nasty.KEPT
    assert reason_of(parse([b"\xef\xbb\xbf" + marked], first_offset=9)[0]) == "not_json"


def test_a_missing_uid_is_the_hex_of_the_key() -> None:
    for uid in (None, ""):
        (row,) = parse([nasty.line(uid=uid)])
        assert row["uid"] == row["key"].hex()


def test_rejected_rows_tell_what_could_be_read() -> None:
    no_title, no_content, not_json, too_long = parse(
        [
            nasty.line(uid="a", title="<br>"),
            nasty.line(uid="b", title="<i>T</i>", content=""),
            b"{" * (RAW_PREFIX_BYTES + 1),
            b"x" * (nasty.MAX_LINE_BYTES + 1),
        ]
    )
    assert (no_title["uid"], no_title["raw_title"], no_title["raw"]) == ("a", "<br>", None)
    assert (no_content["uid"], no_content["raw_title"], no_content["raw"]) == ("b", "<i>T</i>", None)
    assert (not_json["uid"], not_json["raw"]) == (None, b"{" * RAW_PREFIX_BYTES)
    assert (too_long["uid"], too_long["raw"]) == (None, b"x" * RAW_PREFIX_BYTES)


def test_rejected_rows_spread_over_the_keys() -> None:
    keys = {row["key"][0] >> 6 for row in parse([b""] * 100)}
    assert keys == {0, 1, 2, 3}
