"""The contestants do the same work, and the benchmark reports it where they do not."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.prepare.__main__ import num_records
from bench.prepare.inputs import compressed, count_lines, synthesise, truth_of, twice
from bench.prepare.report import AIMS, Aim, Run, differences, ratio_table, ratios, summary, table
from bench.prepare.variants import VARIANTS, Setting

ROOT = Path(__file__).parents[2]
PEERS = ("plain", "polars", "duckdb", "datatrove")
Rows = list[tuple[str, str, str]]


def run_peer(peer: str, input: Path, output: Path) -> Rows:
    """The records that a peer makes of a file: (uid, title, content), in order."""
    if peer == "datatrove":
        pytest.importorskip("datatrove")
    command = [sys.executable, "-m", f"bench.prepare.peers.by_{peer}", "--input", str(input), "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    assert all(path.suffix == ".parquet" for path in output.iterdir())  # nothing else is left behind
    return sorted(row for path in output.iterdir() for row in _rows(path))


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    for row in pq.read_table(path).to_pylist():
        yield row["uid"], row["title"], row["content"]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 synthetic lines: enough for shares of a percent to show."""
    return synthesise(tmp_path_factory.mktemp("catalogue"), rows=20_000, seed=7)


@pytest.fixture(scope="module")
def plain_texts(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """The texts that the plain script keeps."""
    return texts(run_peer("plain", catalogue, tmp_path_factory.mktemp("plain") / "out"))


def texts(rows: Rows) -> list[tuple[str, str]]:
    """Texts without uids: each contestant may keep another one of several duplicates."""
    return sorted((title, content) for _, title, content in rows)


@pytest.mark.parametrize("peer", PEERS[1:])
def test_peers_keep_the_texts_of_the_plain_script(
    peer: str, catalogue: Path, plain_texts: list[tuple[str, str]], tmp_path: Path
) -> None:
    rows = run_peer(peer, catalogue, tmp_path / "out")

    assert texts(rows) == plain_texts
    assert len({uid for uid, _, _ in rows}) == len(rows)


LINES = [
    {"uid": "1", "title": "Mug &#151; blue&nbsp;", "content": "It&rsquo;s caf&#xE9; 10&quot; big", "target_ind": [1]},
    {"uid": "2", "title": "Mug blue", "content": "\t&bull; &nbsp;"},
    {"uid": "3", "title": "", "content": "No title"},
    {"uid": "4", "title": "No content", "content": None},
    {"uid": "5", "title": "Nothing else"},
    {"uid": "6", "title": "A  mug, 3.5\ncm", "content": "\u78c1\u5668 \u00bd &amp; &copy 1 &#x1F381;!"},
    {"uid": "7", "title": "A mug, 3.5 cm", "content": "\u78c1\u5668 &frac12; & 1"},
    {"uid": "8", "title": "It's {NOT} 'a' \\ \"mug\"", "content": "a_b & c"},
]
KEPT = [
    ("Mug blue", "It s caf\u00e9 10 big"),
    ("A mug, 3.5 cm", "\u78c1\u5668 \u00bd 1"),
    ("It s NOT a mug", "a_b c"),
]


@pytest.mark.parametrize("peer", PEERS)
def test_peers_unescape_as_html5_and_drop_empty_ones_and_duplicates(peer: str, tmp_path: Path) -> None:
    path = tmp_path / "it's.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))

    assert texts(run_peer(peer, path, tmp_path / "o'ut")) == sorted(KEPT)


def test_the_short_script_unescapes_squeezes_blanks_and_drops_what_is_empty_or_twice(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*LINES, LINES[0] | {"uid": "9"}]))
    command = [
        sys.executable,
        "-m",
        "bench.prepare.peers.by_script",
        "--input",
        str(path),
        "--output",
        str(tmp_path / "out"),
    ]
    subprocess.run(command, cwd=ROOT, check=True)

    (file,) = (tmp_path / "out").iterdir()
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [row["uid"] for row in rows] == ["1", "2", "6", "7", "8"]
    assert rows[0]["title"] == "Mug \u2014 blue"
    assert rows[2]["title"] == "A mug, 3.5 cm"
    assert num_records(file) == 5


@pytest.mark.spark
@pytest.mark.slow
def test_a_whole_round_finds_no_difference_and_stores_its_figures(catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    command = ["bench.prepare", "--input", str(catalogue), "--rounds", "1", "--settle", "0", "--only", "ours,plain"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--folder", str(tmp_path / "work"), "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert not done.returncode, done.stdout + done.stderr
    report = json.loads(out.read_text())
    ours, plain = report["results"]
    assert [ours["variant"], plain["variant"]] == ["ours", "plain Python"]
    assert ours["kept"] == truth_of(catalogue)["kept"]
    assert report["ratios"][0]["ratio"] == pytest.approx(ours["wall_s"]["median"] / plain["wall_s"]["median"])
    assert report["input"]["lines"] == 20_000
    assert ours["peak_memory_bytes"]["median"] > 100e6  # Java alone takes that
    assert list((tmp_path / "work").iterdir()) == []


def runs_of(variant_kept: int, wall_s: Sequence[float] = (1.0,), peak_memory_bytes: int = 10**9) -> list[Run]:
    return [
        Run(number, wall, 2 * wall, 0.0, peak_memory_bytes, variant_kept, 1, 1000) for number, wall in enumerate(wall_s)
    ]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ({"ours": runs_of(1000), "Polars": runs_of(1005)}, None),
        ({"ours": runs_of(1000), "Polars": runs_of(1006)}, "Polars kept 1006"),
        ({"ours": runs_of(1000), "Polars": runs_of(994)}, "Polars kept 994"),
        ({"Polars, our steps": runs_of(1001), "DuckDB, our steps": runs_of(999)}, None),
        ({"Polars, our steps": runs_of(1002)}, "Polars, our steps kept 1002 records, expected 1000 within 0.1%"),
        ({"DuckDB, our steps": runs_of(998)}, "DuckDB, our steps kept 998"),
        ({"ours": runs_of(999)}, "truth says 1000"),
        ({"ours": runs_of(1000), "ours, .json.gz": runs_of(1001)}, "ours, .json.gz kept 1001 records, and ours 1000"),
        ({"ours": runs_of(1000), "ours, near-duplicates": runs_of(900)}, None),
        ({"ours": runs_of(1000), "ours, twice the lines": runs_of(2000)}, None),
        ({"DuckDB": [*runs_of(1000), *runs_of(1001)]}, "DuckDB kept [1000, 1001]"),
    ],
)
def test_differences_are_reported(runs: dict[str, list[Run]], said: str | None) -> None:
    found = differences(runs, truth={"kept": 1000})

    assert (said is None) == (not found)
    assert said is None or said in found[0]


def test_without_a_truth_the_contestants_are_compared_with_each_other() -> None:
    runs = {"plain Python": runs_of(1000), "Polars": runs_of(1001), "DuckDB": runs_of(1020)}

    assert differences(runs, truth={}) == ["DuckDB kept 1020 records, expected 1001 within 0.5%"]


def test_without_a_truth_the_same_steps_are_compared_with_ours() -> None:
    runs = {"ours": runs_of(1000), "Polars": runs_of(1003), "plain Python": runs_of(1003)}

    assert differences({**runs, "Polars, our steps": runs_of(1001)}, truth={}) == []
    [problem] = differences({**runs, "Polars, our steps": runs_of(1003)}, truth={})
    assert problem == "Polars, our steps kept 1003 records, expected 1000 within 0.1%"


def test_ratios_are_of_medians_with_the_spread_over_rounds() -> None:
    runs = {"ours": runs_of(9, (10.0, 30.0, 11.0)), "Polars, our steps": runs_of(9, (20.0, 20.0, 10.0))}

    of_polars, of_memory = ratios(runs)

    assert (of_polars["of"], of_polars["to"], of_polars["is_met"]) == ("ours", "Polars, our steps", True)
    assert [of_polars[name] for name in ("ratio", "least", "most")] == pytest.approx([11 / 20, 10 / 20, 30 / 20])
    assert (of_memory["to"], of_memory["ratio"]) == ("5 GB", 0.2)


LIMITED = [aim for aim in AIMS if aim.at_most is not None or aim.at_least is not None]


@pytest.mark.parametrize("aim", LIMITED, ids=lambda aim: f"{aim.of} to {aim.to}")
def test_an_aim_is_met_on_one_side_of_its_limit_only(aim: Aim) -> None:
    met = []
    for factor in (0.99, 1.01):
        limit = aim.at_most or aim.at_least or 0
        to = 5e9 if aim.to == "5 GB" else 1e9
        runs = {aim.to: runs_of(9, (1.0,), 10**9)} | {aim.of: runs_of(9, (limit * factor,), int(to * limit * factor))}
        row = next(row for row in ratios(runs) if (row["to"], row["measure"]) == (aim.to, aim.measure))
        met.append(row["is_met"])
        assert ("NOT met" in ratio_table([row])) == (not row["is_met"])

    assert met == ([True, False] if aim.at_most else [False, True])


@pytest.mark.parametrize("peer", ["Polars", "DuckDB"])
def test_a_ratio_to_a_peer_that_does_less_is_shown_without_an_aim(peer: str) -> None:
    found = ratios({"ours": runs_of(9, (30.0,)), peer: runs_of(9, (20.0,))})

    [row] = [row for row in found if row["to"] == peer]
    assert (row["ratio"], row["is_met"]) == (1.5, None)
    assert "1.50 (1.50-1.50), no aim: less work" in ratio_table([row])


def test_the_table_shows_medians_with_their_spread() -> None:
    shown = table([summary("ours", runs_of(12345, (2.0, 4.0, 3.0)))])

    assert "3.0 (2.0-4.0)" in shown
    assert "12,345" in shown


def test_a_catalogue_is_made_once_and_in_twice_the_size(tmp_path: Path) -> None:
    path = synthesise(tmp_path, rows=300, seed=5, mean_content_chars=50)
    made = path.stat().st_mtime_ns
    double = twice(path, tmp_path)

    assert synthesise(tmp_path, rows=300, seed=5, mean_content_chars=50).stat().st_mtime_ns == made
    assert double is not None
    assert (count_lines(path), count_lines(double)) == (300, 600)
    assert truth_of(double)["config"] == {**truth_of(path)["config"], "rows": 600}
    assert synthesise(tmp_path, rows=300, seed=5).stat().st_mtime_ns != made  # other settings
    (tmp_path / "theirs.json").write_text("{}\n{}")
    assert count_lines(tmp_path / "theirs.json") == 2
    assert twice(tmp_path / "theirs.json", tmp_path) is None


def test_a_compressed_catalogue_holds_the_same_bytes_and_follows_changes(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"
    path.write_bytes(b'{"uid": "1"}\n' * 1000)
    first = compressed(path, tmp_path)

    assert first.suffix == ".gz"
    assert gzip.decompress(first.read_bytes()) == path.read_bytes()
    assert compressed(path, tmp_path) == first
    path.write_bytes(b'{"uid": "12"}\n')
    assert gzip.decompress(compressed(path, tmp_path).read_bytes()) == path.read_bytes()


def test_aims_are_between_variants_that_exist(tmp_path: Path) -> None:
    path = synthesise(tmp_path, rows=20, seed=5)
    variants = [make(Setting(path, tmp_path, cores=2)) for make in VARIANTS.values()]

    assert {name for aim in AIMS for name in (aim.of, aim.to)} == {variant.name for variant in variants} | {"5 GB"}
    assert all(variant.input.exists() for variant in variants)


def test_an_unknown_name_for_only_is_an_error_that_lists_the_known_ones() -> None:
    command = [sys.executable, "-m", "bench.prepare", "--only", "ours,spark"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 2
    assert "--only knows no spark" in done.stderr
    assert all(name in done.stderr for name in VARIANTS)
