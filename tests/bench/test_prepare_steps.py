"""The peers with all of our steps make what `vitrine prepare` makes, except for the steps that they leave out."""

import hashlib
import html
import json
import os
import re
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import ftfy.badness
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.prepare.inputs import synthesise, truth_of
from bench.prepare.report import OUR_STEPS_SHARE
from bench.prepare.steps import ENTITY, MAY_COMPOSE, PERCENT_OF_SPLIT, unescaped
from contract.columns import REJECTED
from contract.text.clean import clean, clean_array

ROOT = Path(__file__).parents[2]
PEERS = ("polars", "duckdb")
QUERIES = {
    "polars": "bench.prepare.peers.by_polars_query",
    "duckdb": "bench.prepare.peers.by_duckdb_all",
}  # where the files are written


@dataclass(frozen=True)
class Output:
    """The output of a peer."""

    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "manifest.json").read_text())

    def rows(self, section: str) -> list[dict[str, Any]]:
        return [row for path in self.files(section) for row in pq.read_table(path).to_pylist()]

    def files(self, section: str) -> list[Path]:
        return sorted((self.folder / section).glob("*.parquet"))

    def records(self) -> dict[str, tuple[str, str]]:
        """(title, content) by uid."""
        return {row["uid"]: (row["title"], row["content"]) for split in PERCENT_OF_SPLIT for row in self.rows(split)}


def run_peer(peer: str, input: Path, output: Path) -> Output:
    command = [
        sys.executable,
        "-m",
        f"bench.prepare.peers.by_{peer}_all",
        "--input",
        str(input),
        "--output",
        str(output),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return Output(output)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesise(tmp_path_factory.mktemp("catalogue"), rows=20_000, seed=7)


@pytest.fixture(scope="module")
def lines(catalogue: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in catalogue.read_text().splitlines()]


@pytest.fixture(scope="module", params=PEERS)
def output(request: pytest.FixtureRequest, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Output:
    return run_peer(request.param, catalogue, tmp_path_factory.mktemp(request.param) / "o'ut")


def test_cleaned_texts_are_ours_but_for_mojibake(output: Output, lines: list[dict[str, Any]]) -> None:
    raw = {line["uid"]: (line.get("title") or "", line.get("content") or "") for line in lines}
    columns = [clean_array(pa.array(texts)).to_pylist() for texts in zip(*raw.values(), strict=True)]
    ours = dict(zip(raw, zip(*columns, strict=True), strict=True))

    records = output.records()
    others = {uid for uid, texts in records.items() if texts != ours[uid]}

    assert all(any(ftfy.badness.is_bad(unescape(text)) for text in raw[uid]) for uid in others)
    assert 0 < len(others) < 0.005 * len(records)  # there is mojibake, and little of it


def unescape(text: str) -> str:
    """The text without entities, by Python's rule."""
    for _ in range(3):
        text = html.unescape(text)
    return text


def test_every_line_is_a_record_or_rejected_with_its_reason_and_line(
    output: Output, catalogue: Path, lines: list[dict[str, Any]]
) -> None:
    truth = truth_of(catalogue)
    rows = output.manifest["rows"]
    rejected = output.rows(REJECTED)

    assert rows["in"] == rows["kept"] + sum(rows["rejected"].values()) == len(lines)
    assert rows["kept"] == len(output.records()) == pytest.approx(truth["kept"], rel=OUR_STEPS_SHARE)
    for reason, num_lines in truth["rejected"].items():
        assert rows["rejected"].get(reason, 0) == pytest.approx(num_lines, abs=OUR_STEPS_SHARE * truth["kept"])
        assert rows["rejected"].get(reason, 0) == sum(row["reason"] == reason for row in rejected)
    assert [row["uid"] for row in rejected] == [lines[row["line"]]["uid"] for row in rejected]
    assert all((row["title"] or "") == (lines[row["line"]].get("title") or "") for row in rejected)
    assert not output.records().keys() & {row["uid"] for row in rejected}


def test_the_smallest_uid_of_duplicates_stays(output: Output, lines: list[dict[str, Any]]) -> None:
    records = output.records()
    uid_of = {texts: uid for uid, texts in records.items()}
    duplicates = [lines[row["line"]] for row in output.rows(REJECTED) if row["reason"] == "duplicate"]
    texts = [(clean(line["title"]), clean(line["content"])) for line in duplicates]
    stayed = [uid_of.get(texts_of_line) for texts_of_line in texts]

    assert len(uid_of) == len(records)
    assert sum(uid is not None for uid in stayed) > 0.98 * len(duplicates) > 100  # the others hold mojibake
    assert all(uid < line["uid"] for uid, line in zip(stayed, duplicates, strict=True) if uid is not None)


def test_records_are_in_the_order_of_their_keys_and_a_title_in_one_split(output: Output) -> None:
    titles = {split: {row["title"] for row in output.rows(split)} for split in PERCENT_OF_SPLIT}

    for split, percent in PERCENT_OF_SPLIT.items():
        keys = [row["key"] for row in output.rows(split)]
        assert keys == sorted(keys)
        assert output.manifest["splits"][split]["rows"] == len(keys)
        assert len(keys) / len(output.records()) == pytest.approx(len(percent) / 100, abs=0.005)
    assert sum(map(len, titles.values())) == len(set().union(*titles.values()))


def test_the_manifest_lists_every_file_with_its_hash(output: Output) -> None:
    manifest = output.manifest
    entries = [*manifest[REJECTED], *(entry for split in manifest["splits"].values() for entry in split["shards"])]

    assert {entry["path"] for entry in entries} == {
        path.relative_to(output.folder).as_posix() for path in output.folder.rglob("*.parquet")
    }
    for entry in entries:
        path = output.folder / entry["path"]
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        metadata = pq.read_metadata(path)
        assert (entry["rows"], entry["bytes"]) == (metadata.num_rows, path.stat().st_size)
        assert metadata.row_group(0).column(0).compression == "ZSTD"
        assert metadata.row_group(0).num_rows in (2_000, 2_048, metadata.num_rows)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("shard_rows", [1, 7, 2_050, 20_000])
def test_files_hold_exactly_as_many_rows_as_they_should(
    peer: str, shard_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_lines = min(5_000, 40 * shard_rows)
    path = tmp_path / "lines.json"
    path.write_text("".join(f'{{"uid": "{i}", "title": "t", "content": "c{i}"}}\n' for i in range(num_lines)))
    monkeypatch.setattr(import_module(QUERIES[peer]), "SHARD_ROWS", shard_rows)
    monkeypatch.setitem(os.environ, "POLARS_MAX_THREADS", "2")

    import_module(f"bench.prepare.peers.by_{peer}_all").main(["--input", str(path), "--output", str(tmp_path / "out")])

    output = Output(tmp_path / "out")
    [split] = [split for split in PERCENT_OF_SPLIT if output.files(split)]  # of one title
    full, rest = divmod(num_lines, shard_rows)
    assert [pq.read_metadata(file).num_rows for file in output.files(split)] == [shard_rows] * full + [rest] * (
        rest > 0
    )
    assert len({row["uid"] for row in output.rows(split)}) == num_lines


TEXTS = {
    "It&rsquo;s 10&quot; &amp;amp;quot;big&amp;amp;quot;": "Its 10 big",
    "caf&#xE9; &ampx &notit; &#151; &copy &;&#; AT&T": "café x it AT T",
    "a<b>bold</b>c <!-- <i> > --> d < e <T>": "aboldc d e T",
    "<script>a</script><p class='b'>x&lt;BR/&gt;y": "x y",
    "Wasch\u00admaschine\u200b x": "Waschmaschine x",
    "cafe\u0301 A\u030a \u212b 한 \u1112\u1161\u11ab": "café Å Å 한 한",
    "\u78c1\u5668 \u00bd \U0001f381 x_y a'b\u2032c\t\n.": "\u78c1\u5668 \u00bd x y abc .",
}


@pytest.mark.parametrize("peer", PEERS)
def test_the_rules_of_cleaning_hold_in_examples(peer: str, tmp_path: Path) -> None:
    path = tmp_path / "lines.json"
    path.write_text(
        "".join(
            json.dumps({"uid": str(number), "title": text, "content": f"{text} x"}) + "\n"
            for number, text in enumerate(TEXTS)
        )
    )

    records = run_peer(peer, path, tmp_path / "out").records()

    assert [records[str(number)][0] for number in range(len(TEXTS))] == list(TEXTS.values())
    assert [records[str(number)][1] for number in range(len(TEXTS))] == [clean(f"{text} x") for text in TEXTS]


def test_duckdb_counts_broken_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"
    path.write_text('{"uid": "1", "title": "a", "content": "b"}\n{"uid": "2", "tit\n{"uid": "3", "title": null}\n')

    output = run_peer("duckdb", path, tmp_path / "out")

    assert output.manifest["rows"] == {"in": 3, "kept": 1, "rejected": {"no_title": 1, "not_json": 1}}
    assert [(row["reason"], row["line"]) for row in output.rows(REJECTED)] == [("not_json", 1), ("no_title", 2)]


def test_characters_that_may_compose_are_found() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    is_seen = pc.match_substring_regex(pa.array(every), MAY_COMPOSE).to_pylist()
    unseen = [character for character, seen in zip(every, is_seen, strict=True) if not seen]
    pairs = [parts for parts in map(str.split, map(unicodedata.decomposition, every)) if len(parts) == 2]
    second = {chr(int(last, 16)) for first, last in pairs if not first.startswith("<")}

    assert "\u2019" in unseen
    assert not any(map(unicodedata.combining, unseen))
    assert all(unicodedata.is_normalized("NFC", character) for character in unseen)
    assert not second & set(unseen)  # so that none composes with what stands before it


@pytest.mark.parametrize("entity", ["&amp;", "&#38;", "&ampx;", "&notit;", "&zzz;", "&#x0;", "&NotEqualTilde;"])
def test_the_table_of_entities_is_that_of_html5(entity: str) -> None:
    assert re.fullmatch(ENTITY, entity)
    assert unescaped([entity]).get(entity, entity) == html.unescape(entity)
