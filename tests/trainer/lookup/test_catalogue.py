"""A title finds its records with their place, a mistyped one too, and what is not there is called so."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.lookup.typos import KINDS, mistyped
from contract.columns import SPLITS
from contract.errors import UserError
from contract.manifest import read_manifest
from tests.conftest import Prepared, made_up_pairs, write_data_set
from tests.contract.data_sets import SOUND, edit_manifest
from tests.trainer.audits import damage_shard
from trainer.lookup import grams, index
from trainer.lookup.catalogue import Source, open_catalogue

PENS = [
    ("Vitrine Fountain Pen", "A steel nib. In grey."),
    ("Harbour Tea Kettle 2 Litres", "Holds two litres."),
    ("The Prophet", "A man walks the sands."),
    ("The Prophet", "Another edition."),
    ("Girls Ballet Tutu Neon Blue", "For dancing."),
    ("Mog and the Kittens", "A cat and three others."),
]


@pytest.fixture(name="pens")
def _pens(tmp_path: Path) -> str:
    write_data_set(tmp_path / "pens", PENS[:3], shard_rows=2, val=PENS[3:4], test=PENS[4:])
    return str(tmp_path / "pens")


def test_a_title_is_found_with_text_uid_and_place(pens: str) -> None:
    found = open_catalogue([pens]).find("Harbour Tea Kettle 2 Litres")

    shard = read_manifest(pens).splits["train"][0].path
    expected = Source("train0-1", "Harbour Tea Kettle 2 Litres", "Holds two litres.", pens, shard, 1)
    assert (found.sources, found.is_exact, found.nearest, found.num_records) == ((expected,), True, (), 1)


def test_all_records_of_a_title_are_named_with_the_splits_in_order(pens: str) -> None:
    found = open_catalogue([pens]).find("The Prophet")

    assert [source.text for source in found.sources] == ["A man walks the sands.", "Another edition."]
    assert [source.shard.partition("/")[0] for source in found.sources] == ["train", "val"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mistyped_title_is_found_by_likeness(pens: str, kind: str) -> None:
    catalogue, draw = open_catalogue([pens]), random.Random(kind)
    for title in {title for title, _ in PENS if "Tutu" in title or "Kittens" in title}:
        for _ in range(10):
            typed = next(filter(None, (mistyped(title, kind, draw) for _ in range(20))))
            found = catalogue.find(typed)
            assert ([source.title for source in found.sources], found.is_exact) == ([title], False), typed


def test_what_is_not_there_is_called_so_and_the_nearest_titles_are_offered(pens: str) -> None:
    found = open_catalogue([pens]).find("Girls Ballet Tutu Neon Green")

    assert (found.sources, found.is_exact) == ((), False)
    assert [each.title for each in found.nearest] == ["Girls Ballet Tutu Neon Blue"]
    assert asdict(found.nearest[0])["shard"].startswith("test/part-00000-")


def test_of_two_titles_that_a_question_may_mean_none_is_found_and_both_are_offered(tmp_path: Path) -> None:
    write_data_set(tmp_path, [("The Dalden Engines", "One."), ("The Halwick Engines", "Two."), ("The Pump", "Three.")])
    found = open_catalogue([str(tmp_path)]).find("The Engines")

    assert not found.sources
    assert {each.title for each in found.nearest} == {"The Dalden Engines", "The Halwick Engines"}


def test_case_and_punctuation_make_no_other_title(tmp_path: Path) -> None:
    write_data_set(tmp_path, [("The Prophet", "One."), ("The prophet.", "Two."), ("A Pump", "Three.")])
    catalogue = open_catalogue([str(tmp_path)])

    assert [source.text for source in catalogue.find("The Prophet").sources] == ["One."]
    assert {source.text for source in catalogue.find("THE PROPHET").sources} == {"One.", "Two."}


def test_another_number_is_another_product(pens: str) -> None:
    found = open_catalogue([pens]).find("Harbour Tea Kettle 3 Litres")

    assert not found.sources
    assert found.nearest[0].title == "Harbour Tea Kettle 2 Litres"


@pytest.mark.parametrize("question", ["", " ", "...", "🎁", "x", "\ud800", "\x00", "w " * 500_000, "ab" * 500_000])
def test_what_names_no_product_finds_none(pens: str, question: str) -> None:
    assert not open_catalogue([pens]).find(question).sources


STRANGE = [
    "M",
    "7",
    "🎁",
    "保",
    "保温杯 500毫升",
    "กระติกน้ำสแตนเลส",
    "قلم حبر أسود",
    "ספר הילדים הגדול",
    "हिन्दी किताब",
    "Ação e Reação",
    "Straße",
    "İstanbul",
    "\u202eevil\u202c title",
    "👩‍👩‍👧 family mug",
    "x" * 2_000,
    "word " * 399 + "word",
    "<b>&amp;",
    "Line\u2028Separator",
    "a\nb",
    "",
]


def test_titles_of_any_script_and_length_are_found(tmp_path: Path) -> None:
    write_data_set(tmp_path, [(title, f"Text {number}.") for number, title in enumerate(STRANGE)])
    catalogue = open_catalogue([str(tmp_path)])

    for number, title in enumerate(STRANGE):
        found = catalogue.find(title)
        assert [(source.title, source.text) for source in found.sources] == [(title, f"Text {number}.")]
        assert found.is_exact
    assert catalogue.find("ACAO E REAÇAO").sources[0].title == "Ação e Reação"
    assert catalogue.find("قلم حبر أسوود").sources[0].title == "قلم حبر أسود"


def test_the_index_is_the_data_set(tmp_path: Path) -> None:
    """7,000 records, two of each title, over several shards and splits."""
    manifest = SOUND.write(str(tmp_path))
    catalogue = open_catalogue([str(tmp_path)])

    expected: dict[str, list[Source]] = {}
    for split in SPLITS:
        for shard in manifest.splits[split]:
            for row, each in enumerate(pq.read_table(tmp_path / shard.path).to_pylist()):
                source = Source(each["uid"], each["title"], each["content"], str(tmp_path), shard.path, row)
                expected.setdefault(source.title, []).append(source)
    assert catalogue.num_records == sum(map(len, expected.values()))
    for title, sources in expected.items():
        assert catalogue.find(title).sources == tuple(sources)


def test_keys_that_collide_name_no_other_title(pens: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = index.title_keys
    monkeypatch.setattr(index, "title_keys", lambda titles: keys(titles) % 2)
    catalogue = open_catalogue([pens])

    for title, _ in PENS:
        assert {source.title for source in catalogue.find(title).sources} == {title}
    assert not catalogue.find("Nothing of the Kind").sources


def test_titles_are_found_in_all_segments_of_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grams, "SEGMENT_TITLES", 64)
    monkeypatch.setattr(index, "SEGMENT_TITLES", 64)
    pairs = made_up_pairs(200)
    write_data_set(tmp_path, pairs)
    catalogue, draw = open_catalogue([str(tmp_path)]), random.Random(0)

    for title, text in pairs:
        typed = mistyped(title, "letters swapped", draw)
        assert typed is not None
        assert [source.text for source in catalogue.find(typed).sources] == [text]


def test_only_so_many_records_of_a_title_are_read_and_all_are_counted(tmp_path: Path) -> None:
    write_data_set(tmp_path, [("Greatest Hits", f"Record {number}.") for number in range(50)], shard_rows=7)
    found = open_catalogue([str(tmp_path)]).find("Greatest Hits", most=10)

    assert [source.text for source in found.sources] == [f"Record {number}." for number in range(10)]
    assert found.num_records == 50


def test_several_data_sets_are_one_catalogue(pens: str, prepared: Prepared) -> None:
    catalogue = open_catalogue([f"{prepared.root}:0.5", pens])

    assert catalogue.find("Vitrine Fountan Pen").sources[0].data == pens
    assert catalogue.find(made_up_pairs(1)[0][0]).sources[0].data == prepared.root


def test_threads_look_up_at_the_same_time(prepared: Prepared) -> None:
    catalogue, pairs = open_catalogue([prepared.root]), made_up_pairs(300)
    with ThreadPoolExecutor(8) as pool:
        for (title, text), found in zip(pairs, pool.map(catalogue.find, [title for title, _ in pairs]), strict=True):
            assert [(source.title, source.text) for source in found.sources] == [(title, text)]


def test_a_damaged_shard_is_named(pens: str) -> None:
    catalogue = open_catalogue([pens])
    path = damage_shard(Path(pens), read_manifest(pens), "changed")

    with pytest.raises(UserError, match=path):
        catalogue.find("The Prophet")


@pytest.mark.parametrize("data", [[], "data"])
def test_data_is_a_list_of_folders(data: list[str]) -> None:
    with pytest.raises(UserError, match="expected a list of at least one folder"):
        open_catalogue(data)


def test_a_folder_without_a_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no manifest\.json"):
        open_catalogue([str(tmp_path)])


def test_a_data_set_without_records_is_named(tmp_path: Path) -> None:
    write_data_set(tmp_path, [])
    with pytest.raises(UserError, match="holds no records"):
        open_catalogue([str(tmp_path)])


def test_data_sets_of_several_profiles_are_no_catalogue(pens: str, tmp_path: Path) -> None:
    write_data_set(tmp_path / "other", PENS)
    edit_manifest(tmp_path / "other", lambda document: document.update(text_profile="natural"))
    with pytest.raises(UserError, match=r"cleaned by profile 'natural', .* by 'seed'"):
        open_catalogue([pens, str(tmp_path / "other")])


def test_a_look_up_loads_no_torch(pens: str) -> None:
    code = (
        "import sys; from trainer.lookup.catalogue import open_catalogue; import trainer.lookup.support\n"
        f"assert open_catalogue([{pens!r}]).find('The Prophte').sources\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
