"""Texts in other encodings than UTF-8 are read by their marks, or as the user says; none is guessed in silence."""

import bz2
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import UserError
from contract.reasons import KEPT, REASON_NAMES
from spark_jobs.config import PrepareConfig
from spark_jobs.input import parts
from spark_jobs.input.encodings import Utf8Stream, require_encoding
from spark_jobs.input.fields import FieldNames, ReadOptions
from spark_jobs.input.parts import plan_parts
from spark_jobs.input.readers import read_part
from spark_jobs.input.source import list_sources

NAMES = FieldNames("uid", "title", "content")
WORDS = {
    "cp1252": "Café da manhã – “10 €”",
    "latin-1": "Garrafa térmica ação",
    "utf-8": "Café 茶 🍵",
    "utf-16": "Café 茶 🍵",
    "utf-16-le": "Café 茶 🍵",
    "utf-32": "Café 茶 🍵",
    "shift_jis": "日本語の茶碗",
    "gb18030": "茶壶 🍵",
    "koi8-r": "Чайник",
}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {"": lambda data: data, ".gz": gzip.compress, ".bz2": bz2.compress}

Row = tuple[str | None, str, str, str]


def read(path: Path, *, encoding: str | None, parallelism: int = 1) -> list[Row]:
    """Rows in order of their offsets, with their reasons."""
    (source,) = list_sources(str(path))
    options = ReadOptions(NAMES, max_line_bytes=10_000, encoding=encoding)
    rows = {
        offset: (uid, title, content, "kept" if reason == KEPT else REASON_NAMES[reason])
        for part in plan_parts([source], parallelism=parallelism, options=options)
        for fields in read_part(source, part, options=options)
        for offset, uid, title, content, reason in zip(
            fields.offsets.tolist(),
            fields.uids.to_pylist(),
            fields.titles.to_pylist(),
            fields.contents.to_pylist(),
            fields.reasons.tolist(),
            strict=True,
        )
    }
    return [rows[offset] for offset in sorted(rows)]


def csv(words: str, num_rows: int) -> str:
    return "uid,title,content\n" + "".join(f"{number},{words},About {words}\n" for number in range(num_rows))


def json_lines(words: str, num_rows: int) -> str:
    return "".join(
        f'{{"uid": "{number}", "title": "{words}", "content": "About {words}"}}\n' for number in range(num_rows)
    )


FORMATS = {".csv": csv, ".json": json_lines}


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("encoding", [*WORDS, "utf-8-sig"])
def test_each_row_of_each_encoding_is_read(
    encoding: str,
    suffix: str,
    compression: str,
    parallelism: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "MIN_RANGE_BYTES", 700)
    monkeypatch.setattr(parts, "MAX_RANGE_BYTES", 5_000)
    monkeypatch.setattr(parts, "BLOCK_ROWS", 37)
    words = WORDS.get(encoding, WORDS["utf-8"]).replace('"', "")
    path = tmp_path / f"a{suffix}{compression}"
    path.write_bytes(COMPRESSIONS[compression](FORMATS[suffix](words, 300).encode(encoding)))
    asked = (
        None if encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32") else encoding
    )  # these have a mark or need none

    rows = read(path, encoding=asked, parallelism=parallelism)

    assert rows == [(str(number), words, f"About {words}", "kept") for number in range(300)]


def test_a_mark_is_believed_before_the_option(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "a.csv").write_bytes(csv("Café 茶", 2).encode(encoding))
        assert [row[1] for row in read(tmp_path / "a.csv", encoding="cp1252")] == ["Café 茶"] * 2


def test_bytes_that_mean_nothing_in_the_encoding_cost_their_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"uid,title,content\n1,Caf\xe9,x\n2,a\x81b,x\n3,Ch\xe1,x\n")
    assert read(tmp_path / "a.csv", encoding="cp1252") == [
        ("1", "Café", "x", "kept"),
        (None, "", "", "not_utf8"),
        ("3", "Chá", "x", "kept"),
    ]


def test_a_text_cut_within_a_character_costs_its_last_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("茶", 2).encode("utf-16")[:-3])
    assert [row[3] for row in read(tmp_path / "a.csv", encoding=None)] == ["kept", "not_utf8"]


def test_names_with_accents_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("código;título;descrição\n1;Chá;Uma xícara\n".encode("cp1252"))
    (source,) = list_sources(str(tmp_path / "a.csv"))
    options = ReadOptions(FieldNames("código", "título", "descrição"), max_line_bytes=1_000, encoding="cp1252")
    (part,) = plan_parts([source], parallelism=1, options=options)
    (fields,) = read_part(source, part, options=options)
    assert (fields.titles.to_pylist(), fields.contents.to_pylist()) == (["Chá"], ["Uma xícara"])


@given(text=st.text(max_size=60), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
@settings(deadline=None)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "gb18030"])
def test_a_stream_gives_the_same_bytes_however_it_is_read(encoding: str, text: str, sizes: list[int]) -> None:
    text = text.encode(errors="ignore").decode().lstrip("\ufeff")
    stream = Utf8Stream(io.BytesIO(text.encode(encoding)), encoding)
    read, number = b"", 0
    while data := stream.read(sizes[number % len(sizes)]):
        assert len(data) <= sizes[number % len(sizes)]
        read, number = read + data, number + 1
    assert read.decode() == text


@pytest.mark.parametrize("name", ["cp1253x", "zlib", "hex", "undefined", "latin 99"])
def test_a_name_of_no_encoding_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"expected the name of an encoding, such as cp1252"):
        require_encoding(name)
    with pytest.raises(UserError, match=f"encoding = '{name}'"):
        PrepareConfig(input="a", output="b", encoding=name)
