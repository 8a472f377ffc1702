"""The benchmark of look-ups asks what it says, and counts what comes back."""

import json
import random
from pathlib import Path

import pytest

from bench.lookup.__main__ import main
from bench.lookup.changed_facts import KINDS as FACTS
from bench.lookup.changed_facts import changed, mistakes
from bench.lookup.typos import KINDS, mistyped
from tests.conftest import write_data_set

TITLE = "Harbour Tea Kettle 2 Litres"
TEXT = (
    "The Harbour Kettle holds 3 cups of tea, in red or blue enamel, and weighs 20 oz with its lid. Made by Ines Calder"
    " in Malmo, it is not for gas, and its handle stays cool for 15 minutes."
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_typo_is_one_slip_of_its_kind(kind: str) -> None:
    draw = random.Random(kind)
    for _ in range(50):
        typed = mistyped(TITLE, kind, draw)
        if typed is None:  # a word was put back where it was
            continue
        assert typed != TITLE
        num = {"letter dropped": -1, "letter doubled": 1, "word missing": None}.get(kind, 0)
        assert num is None or len(typed) == len(TITLE) + num
        if num is None:
            assert len(typed.split()) == len(TITLE.split()) - 1
    assert mistyped("2", kind, draw) is None


@pytest.mark.parametrize("kind", FACTS)
def test_changed_facts_are_named_word_by_word(kind: str) -> None:
    draw = random.Random(kind)
    for _ in range(50):
        answer = changed(TEXT, kind, draw)
        assert answer is not None
        kept = [word for word, is_changed in zip(answer.words, answer.is_changed, strict=True) if not is_changed]
        assert set(kept) <= set(TEXT.split())
        assert 1 <= sum(answer.is_changed) <= 4


def test_marks_on_changed_words_are_mistakes() -> None:
    answer = changed(TEXT, "numbers", random.Random(0), num=1)

    assert answer is not None
    assert mistakes(answer, TEXT) == []
    (word,) = [word for word, is_changed in zip(answer.words, answer.is_changed, strict=True) if is_changed]
    assert mistakes(answer, answer.text) == [f"marked: {word}"]


def test_the_benchmark_runs_on_a_small_catalogue(tmp_path: Path) -> None:
    write_data_set(tmp_path / "data", [(f"Harbour Tea Kettle of Port {place}", TEXT) for place in NAMES])
    absent = [json.dumps({"title": f"Wool Scarf {number} in Grey"}) for number in range(20)]
    (tmp_path / "absent.json").write_text("\n".join([*absent, '{"title": "Harbour Tea']))
    arguments = ["--data", str(tmp_path / "data"), "--absent", str(tmp_path / "absent.json"), "--cores", "1"]
    sizes = ["--num", "6", "--num-answers", "12", "--out", str(tmp_path / "out.json")]

    assert main([*arguments, *sizes]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["titles"], report["index"]["records"]) == (len(NAMES), len(NAMES))
    assert report["absent"]["right"] == 1.0
    assert set(report["typos"]["kinds"]) == set(KINDS)
    assert report["typos"]["wrong_titles"] == []
    assert report["supported"]["answers"] == 12
    assert sum(report["supported"]["with_mistakes"].values()) == 0


NAMES = (
    "Malmo",
    "Lisbon",
    "Bergen",
    "Oaxaca",
    "Kyoto",
    "Izmir",
    "Dakar",
    "Tucson",
    "Leeds",
    "Halifax",
    "Trieste",
    "Gdansk",
)
