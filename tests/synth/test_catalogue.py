"""The catalogue of `vitrine synth` against its own truth, read by a slow preparation that shares no code with it."""

import gzip
import html
import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from statistics import mean, quantiles

import ftfy
import pytest

from contract.errors import UserError
from synth.catalogue import write_catalogue
from synth.config import SynthConfig
from synth.dirt import BLANKS
from synth.kinds import Kind, load_kinds
from synth.plan import plan_of
from synth.rows import REJECTIONS, make_line
from synth.text import BREAK, Draft, write_content

ROWS = 20_000
KINDS = load_kinds()
in_memory = partial(SynthConfig, output="catalogue.json")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict]:
    path = tmp_path_factory.mktemp("synth") / "catalogue.json"
    truth = write_catalogue(SynthConfig(output=str(path), rows=ROWS, seed=1, broken=0.05), workers=2)
    assert json.loads(path.with_name("catalogue.json.truth.json").read_text()) == truth
    return path.read_bytes(), truth


@pytest.fixture(scope="module")
def records(catalogue: tuple[bytes, dict]) -> list[dict]:
    return [record for line in lines_of(catalogue[0]) if isinstance(record := parsed(line), dict)]


@pytest.fixture(scope="module")
def usable(records: list[dict]) -> list[dict]:
    """The records whose title and content are texts, and not empty as they stand in the file."""
    return [r for r in records if all(isinstance(r.get(f), str) and r[f] for f in ("title", "content"))]


def lines_of(data: bytes) -> list[bytes]:
    assert data.endswith(b"\n")
    return data.removesuffix(b"\n").split(b"\n")


def parsed(line: bytes) -> object:
    """What the line holds, or the class of the error where it is not UTF-8 or no JSON."""
    try:
        return json.loads(line.decode("utf-8"))
    except ValueError as error:
        return type(error)


# --- the preparation in its plainest form ---------------------------------------------------------------------------


@cache
def kept_char(char: str) -> str:
    if char in "'\"`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u2032\u2033\u2034":
        return ""
    return char if char in ",." or unicodedata.category(char)[0] in "LMN" else " "


def unescaped(text: str) -> str:
    for _ in range(3):
        text = html.unescape(text)
    return text


def cleaned(text: str | None, repair: Callable[[str], str] = str) -> str:
    text = repair(unescaped(text or ""))
    text = re.sub(r"<!--.*?-->|</?[A-Za-z][^<>]*>", " ", text, flags=re.DOTALL)
    return " ".join("".join(map(kept_char, unicodedata.normalize("NFC", text))).split())


def outcomes(data: bytes, repair: Callable[[str], str] = str) -> Iterator[str]:
    seen = set()
    for line in lines_of(data):
        record = parsed(line)
        if record is UnicodeDecodeError:
            yield "not_utf8"
        elif record is json.JSONDecodeError:
            yield "not_json"
        elif not isinstance(record, dict) or any(
            not isinstance(record.get(field), str | None) for field in ("uid", "title", "content")
        ):
            yield "not_a_record"
        else:
            pair = cleaned(record.get("title"), repair), cleaned(record.get("content"), repair)
            if not all(pair):
                yield "no_content" if pair[0] else "no_title"
            else:
                yield "duplicate" if pair in seen else "kept"
            seen.add(pair)


def counted(data: bytes, repair: Callable[[str], str] = str) -> dict:
    counts = Counter(outcomes(data, repair))
    return {
        "rows_in": counts.total(),
        "rejected": {reason: counts[reason] for reason in REJECTIONS},
        "kept": counts["kept"],
    }


def claimed(truth: dict) -> dict:
    return {key: truth[key] for key in ("rows_in", "rejected", "kept")}


# --- truth ----------------------------------------------------------------------------------------------------------


def test_truth_equals_what_a_plain_preparation_counts(catalogue: tuple[bytes, dict]) -> None:
    data, truth = catalogue
    assert claimed(truth) == counted(data)


@pytest.mark.parametrize(
    ("rows", "seed", "broken", "mean_content_chars"),
    [(1, 0, 0, 619), (2, 0, 0, 619), (7, 3, 0, 1), (100, 4, 0.5, 30), (500, 5, 1, 619), (6000, -6, 0, 150)],
)
def test_truth_holds_for_any_shape_of_catalogue(
    tmp_path: Path, rows: int, seed: int, broken: float, mean_content_chars: int
) -> None:
    path = tmp_path / "catalogue.json"
    config = SynthConfig(output=str(path), rows=rows, seed=seed, broken=broken, mean_content_chars=mean_content_chars)
    truth = write_catalogue(config, workers=1)
    assert claimed(truth) == counted(path.read_bytes())
    assert truth["rows_in"] == rows == truth["kept"] + sum(truth["rejected"].values())


def test_truth_does_not_depend_on_whether_mojibake_is_repaired() -> None:
    config = in_memory(rows=3_000, seed=3)
    data = b"".join(make_line(config, index).data for index in range(config.rows))
    assert counted(data, repair=ftfy.fix_encoding) == counted(data)


def test_rejections_of_whole_lines_have_the_shares_of_the_real_catalogue() -> None:
    config = in_memory(rows=2_248_619, seed=0)
    plan = plan_of(config)
    counts = dict(
        zip(plan.roles, (end - start for start, end in zip((0, *plan.ends), plan.ends, strict=False)), strict=True)
    )
    assert counts["both_empty"] == 18_519
    assert counts["both_empty"] + counts["no_title"] == 126_834
    assert counts["both_empty"] + counts["no_content"] == 749_901
    assert counts["duplicate"] == 23_322
    assert counts["duplicate"] + counts["duplicate_title"] == 39_961


def test_copies_differ_in_bytes_and_are_alike_once_cleaned(usable: list[dict]) -> None:
    groups: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for record in usable:
        raw = record["title"], record["content"]
        groups.setdefault((cleaned(raw[0]), cleaned(raw[1])), set()).add(raw)
    assert sum(len(spellings) > 1 for spellings in groups.values()) > 30


# --- dirt -----------------------------------------------------------------------------------------------------------


def test_every_defect_occurs(catalogue: tuple[bytes, dict]) -> None:
    assert {name: count for name, count in catalogue[1]["defects"].items() if count} == catalogue[1]["defects"]
    assert set(catalogue[1]["defects"]) == {
        *("entities_hex", "entities_decimal", "entities_named", "unterminated_entity", "dead_reference"),
        *("windows_1252", "mojibake", "double_escape", "escaped_tag", "raw_tag", "comment", "inch_mark"),
        *("glued", "boilerplate", "junk_repeated", "content_repeats_title", "duplicate_title", "stray_space"),
        *("non_ascii", "decomposed", "cjk", "emoji", "null_or_missing_field", "blank_field"),
        *("truncated", "blank_line", "invalid_utf8", "not_an_object", "wrong_type", "no_fields"),
        *("crlf", "lone_surrogate"),
    }


def test_defects_are_counted_as_they_can_be_found(catalogue: tuple[bytes, dict], usable: list[dict]) -> None:
    data, truth = catalogue
    lines, defects = lines_of(data), truth["defects"]
    assert defects["crlf"] == sum(line.endswith(b"}\r") for line in lines)
    assert defects["invalid_utf8"] == sum(not line.isascii() for line in lines)
    assert defects["blank_line"] == sum(not line.strip() for line in lines)
    assert defects["junk_repeated"] == sum(r["content"].startswith("test item not to bid test") for r in usable)
    repeats = sum(cleaned(r["title"]) == cleaned(r["content"]) for r in usable)
    assert defects["content_repeats_title"] == repeats


def test_lines_are_ascii_unless_their_encoding_is_what_is_broken(catalogue: tuple[bytes, dict]) -> None:
    for line in lines_of(catalogue[0]):
        if not line.isascii():
            with pytest.raises(UnicodeDecodeError):
                line.decode("utf-8")


def test_a_lone_surrogate_leaves_a_valid_record(catalogue: tuple[bytes, dict], usable: list[dict]) -> None:
    lone = [r for r in usable if re.search("[\ud800-\udfff]", r["title"] + r["content"])]
    assert len(lone) == catalogue[1]["defects"]["lone_surrogate"]
    assert all(cleaned(r["title"]) and cleaned(r["content"]) for r in lone)


@pytest.mark.parametrize("blank", BLANKS)
def test_blanks_are_empty_once_cleaned(blank: str) -> None:
    assert blank
    assert cleaned(blank) == ""


# --- distributions --------------------------------------------------------------------------------------------------


def test_lengths_follow_the_real_catalogue(usable: list[dict]) -> None:
    titles = quantiles((len(r["title"]) for r in usable), n=20)
    contents = quantiles((len(r["content"]) for r in usable), n=20)
    assert titles[4::5] == pytest.approx([37, 54, 75], rel=0.06)
    assert (titles[0], titles[-1]) == pytest.approx((17, 125), rel=0.2)
    assert mean(len(r["title"]) for r in usable) == pytest.approx(61, rel=0.05)
    assert contents[4::5] == pytest.approx([194, 398, 805], rel=0.1)
    assert (contents[0], contents[-1]) == pytest.approx((47, 1_728), rel=0.15)
    assert mean(len(r["content"]) for r in usable) == pytest.approx(619, rel=0.06)


def test_entities_have_their_shares(usable: list[dict]) -> None:
    def share(field: str) -> float:
        return mean(unescaped(r[field]) != r[field] for r in usable)

    assert 0.20 < share("content") < 0.25
    assert 0.02 < share("title") < 0.09
    spelled = Counter(kind for r in usable for kind in re.findall(r"&(#x|#|)\w+;", r["title"] + r["content"]))
    assert spelled["#x"] > 0.6 * spelled.total()


def test_full_size_would_be_about_as_large_as_the_real_file(catalogue: tuple[bytes, dict]) -> None:
    assert 1.65e9 < len(catalogue[0]) / ROWS * 2_248_619 < 1.85e9


def test_titles_rarely_coincide_by_chance(catalogue: tuple[bytes, dict], usable: list[dict]) -> None:
    intended = catalogue[1]["rejected"]["duplicate"] + catalogue[1]["defects"]["duplicate_title"]
    titles = [cleaned(r["title"]) for r in usable]
    assert len(titles) - len(set(titles)) < 1.2 * intended


# --- texts ----------------------------------------------------------------------------------------------------------


def test_descriptions_of_different_products_differ_in_wording() -> None:
    config = in_memory(rows=600, seed=8, mean_content_chars=150)
    records = [json.loads(make_line(config, index).data) for index in range(config.rows)]
    contents = [words for r in records if (words := cleaned(r.get("content")).lower().split())]
    pairs = [random.Random(n).sample(contents, 2) for n in range(400)]
    assert mean(rouge_l(left, right) for left, right in pairs) < 0.12


def rouge_l(left: list[str], right: list[str]) -> float:
    """F1 of the longest common subsequence."""
    previous = [0] * (len(right) + 1)
    for word in left:
        row = [0]
        for column, other in enumerate(right):
            row.append(previous[column] + 1 if word == other else max(previous[column + 1], row[-1]))
        previous = row
    return 2 * previous[-1] / (len(left) + len(right))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_long_contents_never_repeat_a_sentence(kind: Kind) -> None:
    draft = Draft(kind, random.Random(5).random, mark="KX4821")
    sentences = write_content(draft, 20_000).split(BREAK)
    assert len(sentences) == len(set(sentences))
    assert sum(map(len, sentences)) > 19_000


# --- plan -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [*range(1, 40), 63, 64, 65, 1_000])
@pytest.mark.parametrize("seed", [0, 1, -1, 2**70])
def test_ranks_are_a_bijection(rows: int, seed: int) -> None:
    plan = plan_of(in_memory(rows=rows, seed=seed))
    ranks = [plan.rank_of(index) for index in range(rows)]
    assert sorted(ranks) == list(range(rows))
    assert [plan.index_of(rank) for rank in ranks] == list(range(rows))


@pytest.mark.parametrize("rows", [1, 2, 9, 64, 5_000])
def test_uids_and_marks_belong_to_one_line_alone(rows: int) -> None:
    plan = plan_of(in_memory(rows=rows, seed=2))
    for make in (plan.uid, plan.person, plan.code):
        assert len({make(index) for index in range(rows)}) == rows
    assert all(cleaned(plan.person(index)) == plan.person(index) for index in range(rows))


def test_uids_look_like_asins_and_roughly_ascend(records: list[dict]) -> None:
    uids = [r["uid"] for r in records if isinstance(r.get("uid"), str)]
    assert len(uids) == len(set(uids))
    assert all(re.fullmatch(r"\d{9}[\dX]|B0[0-9A-Z]{8}", uid) for uid in uids)
    ranks = {uid: rank for rank, uid in enumerate(sorted(uids))}
    assert uids != sorted(uids)
    assert all(abs(number - ranks[uid]) < 16 for number, uid in enumerate(uids))


# --- file -----------------------------------------------------------------------------------------------------------


def test_bytes_do_not_depend_on_workers_or_order(catalogue: tuple[bytes, dict]) -> None:
    config = in_memory(rows=ROWS, seed=1, broken=0.05)
    lines = lines_of(catalogue[0])
    for index in random.Random(0).sample(range(ROWS), 2_000):
        assert make_line(config, index).data == lines[index] + b"\n"


def test_compressed_catalogue_holds_the_same_and_has_the_same_bytes_from_any_number_of_workers(tmp_path: Path) -> None:
    settings = {"rows": 9_000, "seed": 5, "broken": 0.01, "mean_content_chars": 60}
    plain, alone, together = (tmp_path / name for name in ("a.json", "b.json.gz", "c.json.gz"))
    truths = [
        write_catalogue(SynthConfig(output=str(path), **settings), workers=n)
        for path, n in ((plain, 1), (alone, 1), (together, 2))
    ]
    assert truths[0] == truths[1] == truths[2]
    assert alone.read_bytes() == together.read_bytes()
    assert gzip.decompress(alone.read_bytes()) == plain.read_bytes()


def test_another_seed_gives_another_catalogue() -> None:
    first, second = (make_line(in_memory(rows=100, seed=seed), 50).data for seed in (1, 2))
    assert first != second


def test_a_run_that_fails_leaves_the_last_good_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    truth = write_catalogue(SynthConfig(output=str(path), rows=50, seed=1), workers=1)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_catalogue(SynthConfig(output=str(path), rows=60, seed=2), workers=1, on_progress=fail)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert set(before) == {"catalogue.json", "catalogue.json.truth.json"}
    assert truth["rows_in"] == 50


def test_progress_ends_at_all_lines(tmp_path: Path) -> None:
    reported: list[int] = []
    config = SynthConfig(output=str(tmp_path / "a.json"), rows=5_000, seed=1)
    write_catalogue(config, workers=1, on_progress=reported.append)
    assert reported == [4_096, 5_000]


def test_wrong_settings_are_named_all_at_once() -> None:
    with pytest.raises(UserError, match=r"rows = 0.*broken = 2.*mean_content_chars = -1"):
        in_memory(rows=0, broken=2, mean_content_chars=-1)
    expected = "mean_content_chars = 999999999, expected at least 1 and at most 100,000"
    with pytest.raises(UserError, match=expected):
        in_memory(mean_content_chars=999_999_999)
    with pytest.raises(UserError, match="rows = 400000001"):
        in_memory(rows=400_000_001)


@pytest.mark.parametrize("name", ["catalogue.json.zst", "catalogue.bz2"])
def test_a_name_that_promises_another_compression_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a name that ends in \.json or \.json\.gz"):
        write_catalogue(SynthConfig(output=str(tmp_path / name), rows=1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", ["s3://bucket/catalogue.json", "."])
def test_output_must_be_a_local_file(output: str) -> None:
    with pytest.raises(UserError, match="expected a local file"):
        write_catalogue(SynthConfig(output=output, rows=1))
