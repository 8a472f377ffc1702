"""Whatever the format and compression of a file, its lines and rows come out once, however many tasks share it."""

import bz2
import gzip
import html
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import UserError
from contract.manifest import Source
from contract.reasons import KEPT, REASON_NAMES
from spark_jobs.input import parts, readers
from spark_jobs.input.fields import FieldNames, Fields, Part, ReadOptions
from spark_jobs.input.formats import COMPRESSIONS, FORMATS, MAGIC_BYTES
from spark_jobs.input.opening import ForwardStream
from spark_jobs.input.parts import plan_parts
from spark_jobs.input.readers import READERS, documents_among, read_part
from spark_jobs.input.source import list_sources

NAMES = FieldNames(uid="sku", title="name", content="text")
OPTIONS = ReadOptions(NAMES, max_line_bytes=300)
ROWS = [
    {"sku": f"s{number}", "name": f'Mug "{number}", é', "text": f"Holds; tea,\n{number} times" * (number % 5)}
    for number in range(1_000)
]

Row = tuple[str | None, str, str, str]


def rows_of(batches: list[Fields]) -> list[Row]:
    return [
        (uid, title, content, "kept" if reason == KEPT else REASON_NAMES[reason])
        for fields in batches
        for uid, title, content, reason in zip(
            fields.uids.to_pylist(),
            fields.titles.to_pylist(),
            fields.contents.to_pylist(),
            fields.reasons.tolist(),
            strict=True,
        )
    ]


def read(path: Path, *, parallelism: int = 1, options: ReadOptions = OPTIONS) -> tuple[list[Row], list[int]]:
    """All rows that tasks of so many cores read of a file, and their offsets."""
    (source,) = list_sources(str(path))
    documents = documents_among([source], options=options)
    batches = [
        fields
        for part in plan_parts([source], parallelism=parallelism, options=options, documents=documents)
        for fields in read_part(source, part, options=options)
    ]
    return rows_of(batches), [offset for fields in batches for offset in fields.offsets.tolist()]


def jsonl(rows: list[dict]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


def csv(rows: list[dict]) -> bytes:
    sink = io.BytesIO()
    pcsv.write_csv(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def parquet(rows: list[dict]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=70)
    return sink.getvalue()


def array(rows: list[dict]) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=2).encode()


def zipped(data: bytes, name: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return sink.getvalue()


def feed(rows: list[dict]) -> bytes:
    items = (
        "<item>" + "".join(f"<{name}>{html.escape(text)}</{name}>" for name, text in row.items()) + "</item>\n"
        for row in rows
    )
    return f"<rss><channel><name>Shop</name><text>All</text>{''.join(items)}</channel></rss>".encode()


WRITERS: dict[str, Callable[[list[dict]], bytes]] = {
    "a.json": jsonl,
    "a.json.gz": lambda rows: gzip.compress(jsonl(rows)),
    "a.gz": lambda rows: gzip.compress(jsonl(rows[:400])) + gzip.compress(jsonl(rows[400:])),
    "a.jsonl.zst": lambda rows: zstd(jsonl(rows)),
    "a.zst": lambda rows: zstd(jsonl(rows[:400])) + zstd(jsonl(rows[400:])),
    "a.bz2": lambda rows: bz2.compress(jsonl(rows[:400])) + bz2.compress(jsonl(rows[400:])),
    "array.json": array,
    "array.json.gz": lambda rows: gzip.compress(array(rows)),
    "pages.json": lambda rows: array(rows[:300]) + b"\n" + array(rows[300:]),
    "hits.json": lambda rows: json.dumps({"total": 1_000, "hits": rows, "facets": [{"of": 1}]}).encode(),
    "objects.json": lambda rows: b"\n".join(json.dumps(row, indent=1).encode() for row in rows),
    "one-line.json": lambda rows: jsonl(rows).replace(b"\n", b""),
    "returns.json": lambda rows: jsonl(rows).replace(b"\n", b"\r"),
    "feed.xml": feed,
    "feed.txt": feed,
    "feed.xml.gz": lambda rows: gzip.compress(feed(rows)),
    "a.json.xz": lambda rows: lzma.compress(jsonl(rows)),
    "a.zip": lambda rows: zipped(jsonl(rows), "sheets/a.jsonl"),
    "a.csv.zip": lambda rows: zipped(csv(rows), "a.csv"),
    "a.csv": csv,
    "a.csv.gz": lambda rows: gzip.compress(csv(rows)),
    "a.parquet": parquet,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("parallelism", [1, 2, 3, 16])
def test_each_row_comes_out_once(name: str, parallelism: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MIN_RANGE_BYTES", 700)
    monkeypatch.setattr(parts, "MAX_RANGE_BYTES", 5_000)
    monkeypatch.setattr(readers, "MAX_RANGE_BYTES", 5_000)
    monkeypatch.setattr(parts, "BLOCK_ROWS", 37)
    monkeypatch.setattr("spark_jobs.input.lines._OVERRUN_BYTES", 100)
    (tmp_path / name).write_bytes(WRITERS[name](ROWS))

    rows, offsets = read(tmp_path / name, parallelism=parallelism)

    assert sorted(rows) == sorted((row["sku"], row["name"], row["text"], "kept") for row in ROWS)
    assert len(set(offsets)) == len(ROWS)


@pytest.mark.parametrize("name", ["array.json", "hits.json", "objects.json", "feed.txt"])
def test_a_large_document_is_shared_by_tasks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_RANGE_BYTES", 5_000)
    monkeypatch.setattr(readers, "MAX_RANGE_BYTES", 5_000)
    (tmp_path / name).write_bytes(WRITERS[name](ROWS))
    (tmp_path / "lines.json").write_bytes(jsonl(ROWS))
    document, lines = sorted(list_sources(str(tmp_path)), key=lambda source: source.path.endswith("lines.json"))
    assert documents_among([document, lines], options=OPTIONS) == [document]
    shares = [
        sum(len(fields.offsets) for fields in read_part(document, part, options=OPTIONS))
        for part in plan_parts([document], parallelism=3, options=OPTIONS, documents=[document])
    ]
    assert len(shares) == 3
    assert all(200 < share < 500 for share in shares)


@given(data=st.binary(max_size=300), moves=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12))
@settings(deadline=None)
def test_a_forward_stream_is_a_file_that_only_goes_on(data: bytes, moves: list[tuple[int, int]]) -> None:
    stream, place = ForwardStream(io.BytesIO(data)), 0
    for skip, size in moves:
        place = min(place + skip, len(data))
        assert stream.seek(place) == place
        assert stream.read(size) == data[place : place + size]
        place = min(place + size, len(data))
    assert stream.seek(10_000) == len(data)


def cut(data: bytes) -> bytes:
    return data[:-9]


def overwrite(data: bytes) -> bytes:
    return data[:50] + b"XXXX" + data[54:]


@pytest.mark.parametrize(
    ("name", "damage"),
    # Zstandard's check sum is optional, and there is none here.
    [
        ("a.json.gz", cut),
        ("a.bz2", cut),
        ("a.json.xz", cut),
        ("a.zip", cut),
        ("a.zip", overwrite),
        ("a.jsonl.zst", cut),
        ("a.json.gz", overwrite),
        ("a.bz2", overwrite),
    ],
)
def test_a_damaged_file_is_named_by_every_task(name: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(damage(WRITERS[name](ROWS)))
    (source,) = list_sources(str(tmp_path / name))
    for part in plan_parts([source], parallelism=3, options=OPTIONS):
        with pytest.raises(UserError, match=rf"{name} is not a whole (gzip|zstd|bz2|xz|zip) file"):
            list(read_part(source, part, options=OPTIONS))


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.zst", ".zst"), ("a.bz2", ".bz2"), ("a.gz", ".gz"), ("a.parquet", ".parquet")]
)
def test_a_file_of_another_kind_than_its_name_says_is_refused(name: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(WRITERS[name](ROWS))
    with pytest.raises(UserError, match=rf"x\.json is .* does not end in {suffix}; rename it"):
        read(tmp_path / "x.json")


def test_values_that_are_no_texts_or_too_long_are_counted(tmp_path: Path) -> None:
    table = pa.table(
        {
            "sku": pa.array([1, None, 3, 4], pa.int64()),
            "name": pa.array([b"a", b"caf\xe9", b"c", None], pa.binary()),
            "text": pa.array(["x", "y", "z" * 400, "w"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows, offsets = read(tmp_path / "a.parquet")
    assert rows == [
        ("1", "a", "x", "kept"),
        (None, "", "", "not_utf8"),
        (None, "", "", "too_long"),
        ("4", "", "w", "kept"),
    ]
    assert offsets == [0, 1, 2, 3]


@pytest.mark.parametrize("parallelism", [1, 2])
def test_rows_of_a_csv_that_do_not_fit_are_counted_once(parallelism: int, tmp_path: Path) -> None:
    text = 'sku,name,text\n1,a,b\n2,a\n3,a,b,c\n4,caf\xe9,b\n5,"a, with ""quotes""",b\n'
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    rows, offsets = read(tmp_path / "a.csv", parallelism=parallelism)
    assert sorted(rows, key=str) == sorted(
        [
            ("1", "a", "b", "kept"),
            ("5", 'a, with "quotes"', "b", "kept"),
            (None, "", "", "not_utf8"),
            ("", "", "", "not_a_record"),
            ("", "", "", "not_a_record"),
        ],
        key=str,
    )
    assert len(set(offsets)) == 5


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_gives_the_columns(delimiter: str, tmp_path: Path) -> None:
    lines = [["sku", "name", "text"], ["1", "a", "b"]]
    (tmp_path / "a.csv").write_text("\ufeff" + "".join(delimiter.join(line) + "\r\n" for line in lines))
    assert read(tmp_path / "a.csv")[0] == [("1", "a", "b", "kept")]


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_no_bytes_has_no_rows(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "other.json").write_bytes(jsonl(ROWS[:1]))
    empty, other = sorted(list_sources(str(tmp_path)), key=lambda source: source.bytes)
    parts = plan_parts([empty, other], parallelism=2, options=OPTIONS)
    assert {part.source for part in parts} == {1}
    assert list(read_part(empty, Part(0, 0, None), options=OPTIONS)) == []


def test_a_header_is_told_apart_by_its_likeliest_delimiter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("code;product;about\n1;a;b\n")
    with pytest.raises(UserError, match=r"it has 'code', 'product', 'about'"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_missing_column_is_named_with_those_that_are_there(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(WRITERS[name](ROWS))
    with pytest.raises(UserError, match=r"has no column 'title' and no column 'content'; it has 'sku', 'name', 'text'"):
        read(tmp_path / name, options=replace(OPTIONS, names=FieldNames("uid", "title", "content")))


def test_a_table_without_ids_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv([{"name": "a", "text": "b"}]))
    assert read(tmp_path / "a.csv")[0] == [(None, "a", "b", "kept")]


def test_a_column_that_holds_no_texts_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"sku": ["1"], "name": [[True]], "text": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"column 'name' holds list<.*>, expected texts"):
        read(tmp_path / "a.parquet")


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(parquet(ROWS)[:-20])
    with pytest.raises(UserError, match=r"a\.parquet is not a whole Parquet file"):
        read(tmp_path / "a.parquet")


def test_parts_beyond_the_end_of_a_short_stream_are_empty(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(jsonl(ROWS[:3])))
    source = Source(str(tmp_path / "a.gz"), (tmp_path / "a.gz").stat().st_size, "")
    part = Part(0, 10**6, 2 * 10**6, every=3 * 10**6)
    assert list(read_part(source, part, options=OPTIONS)) == []


def test_every_format_has_a_reader_and_suffixes_of_its_own() -> None:
    assert list(READERS) == [row.name for row in FORMATS]
    suffixes = [suffix for row in FORMATS for suffix in row.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(len(row.magic) <= MAGIC_BYTES for row in (*FORMATS, *COMPRESSIONS))
