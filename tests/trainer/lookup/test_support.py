"""What the catalogue's text says is marked, and a changed fact is not."""

import json
import random
from pathlib import Path

import pytest

from bench.lookup.changed_facts import KINDS, changed, mistakes
from contract.text.clean import clean
from contract.text.profiles import NATURAL, SEED
from trainer.lookup.support import supported_spans

TEXT = (
    "A steel nib that forgives left hands, and a piston that holds ink for sixty pages. In grey, amber or black. Not"
    " waterproof. Weighs 3.5 ounces at 20 °C."
)


def marked(answer: str, text: str = TEXT) -> str:
    """The answer with brackets around what is supported."""
    parts, last = [], 0
    for start, stop in supported_spans(answer, text):
        parts += [answer[last:start], "[", answer[start:stop], "]"]
        last = stop
    return "".join([*parts, answer[last:]])


def test_the_text_itself_is_supported_from_its_first_word_to_its_last() -> None:
    assert supported_spans(TEXT, TEXT) == [(0, len(TEXT) - 1)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("In grey, amber or blue.", "[In grey, amber or] blue."),
        ("Weighs 3.6 ounces at 20 °F.", "[Weighs] 3.6 [ounces at 20 °]F."),
        ("Weighs -3.5 ounces at 20 °C.", "[Weighs] -[3.5 ounces at 20 °C]."),
        ("IN GREY AMBER OR BLACK", "[IN GREY AMBER OR BLACK]"),
        ("In amber, grey or black.", "[In] amber, grey [or black]."),
        ("In grey, amber or black. Waterproof. Weighs 3.5", "[In grey, amber or black]. Waterproof. [Weighs 3.5]"),
        ("a piston that never holds ink", "[a piston that] never [holds ink]"),
        ("In grey, amber or black. A steel nib that forgives", "[In grey, amber or black. A steel nib that forgives]"),
        (
            "A fine pen. Ink for sixty pages, and that is for it.",
            "A fine pen. [Ink for sixty pages], and that is for it.",
        ),
        (
            "A plastic pen of the best that is in the hands of all",
            "A plastic pen of the best that is in the hands of all",
        ),
    ],
)
def test_examples(answer: str, expected: str) -> None:
    assert marked(answer) == expected


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        ("保温杯500ml 红色不锈钢", "保温杯600ml 红色不锈钢", "[保温杯]500ml [红色不锈钢]"),
        ("กระติกน้ำสีแดงขนาด", "กระติกน้ำสีดำขนาด", None),
        ("قلم حبر أسود من الفولاذ", "قلم حبر أحمر من الفولاذ", "[قلم حبر] أسود [من الفولاذ]"),
        ("🎁 gift box with 12 cards 🎉", "🎁 gift box with 14 cards 🎉", "[🎁 gift box with] 12 [cards 🎉]"),
        ("Camisa não de algodão azul", "Camisa de algodão azul", "[Camisa] não [de algodão azul]"),
    ],
)
def test_other_scripts(answer: str, text: str, expected: str | None) -> None:
    found = marked(answer, text)
    if expected is not None:
        assert found == expected
    assert found.count("[") == 2


@pytest.mark.parametrize("answer", ["", " ", "...", "🎁", "\x00", "a" * 5_000, "]" * 5_000, "\ud800"])
@pytest.mark.parametrize("text", ["", " ", "...", TEXT])
def test_there_may_be_nothing_to_compare(answer: str, text: str) -> None:
    assert supported_spans(answer, text) == []


def test_long_texts_are_aligned_in_parts_and_every_word_is_found() -> None:
    draw = random.Random(0)
    text = " ".join(f"w{draw.randrange(3_000)}" for _ in range(20_000))
    answer = " ".join(text.split()[100:5_000]).replace("w7 ", "changed ")

    assert "changed" in answer
    unmarked = "".join(piece.partition("]")[2] for piece in f"]{marked(answer, text)}".split("["))
    assert set(unmarked.split()) == {"changed"}


# --- answers whose facts were changed ---------------------------------------------------------------------------------


def contents() -> list[str]:
    """Descriptions of the demo's catalogue, cleaned by both profiles."""
    path = Path(__file__).parents[3] / "launch" / "demo_catalogue.json"
    lines = [line for line in path.read_text().splitlines() if line.endswith("}")]  # others are broken on purpose
    records = [record for record in map(json.loads, lines) if isinstance(record.get("content"), str)]
    texts = [record["content"] for record in records]
    return [text for each in texts for profile in (SEED, NATURAL) if len((text := clean(each, profile)).split()) >= 8]


@pytest.mark.parametrize("kind", KINDS)
def test_changed_facts_are_not_marked_and_all_else_is(kind: str) -> None:
    draw = random.Random(kind)
    pairs = [(answer, text) for text in contents() for _ in range(4) if (answer := changed(text, kind, draw))]

    assert len(pairs) >= 20
    assert [(answer.text, text, found) for answer, text in pairs if (found := mistakes(answer, text))] == []
