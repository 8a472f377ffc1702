"""Small catalogues that people had trouble with: each text as its owner would have it."""

import json
from pathlib import Path
from typing import Final

import pytest

from contract.text.clean import clean
from contract.text.profiles import NATURAL, SEED

CASES: Final = Path(__file__).parent / "cases"

# uid: (title, content), as the profile `seed` makes them, and where they differ, as `natural` does.
EXPECTED: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "style-script": {
        "1": ("Oak Stool", "Solid oak, three legs."),
        "2": ("Pine Stool", "Painted pine."),
        "3": ("Ash Stool", "Plain ash."),
        "5": ("Fir Stool", "Plain fir"),
        "7": ("Teak Stool", "Weight 5 kg and height 40 cm, I 3 it"),
        "8": ("Cork Stool", "Light Warm Height 40cm Nice"),
    },
    "invisible": {
        "1": ("Waschmaschine 8 kg", "Eine Waschmaschine mit Schleudergang."),
        "2": ("کتاب\u200cهای کودک", "می\u200cخواهم کتاب\u200cها"),
        "4": ("I Mugs", "A mug for cooks 1\ufe0f\u20e3 litre ."),
        "7": ("保温杯 500ml 不锈钢", "保温杯 不锈钢 轻便 防漏 耐用"),
        "9": ("เสื้อยืด", "เสื้อยืดผ้าฝ้าย ๒๕๐ บาท"),
        "10": (
            "Vestido de Algodão Infantil nº 8",
            "Vestido de algodão p crianças, 1ª linha. Preço R 1.299,90 à vista",
        ),
    },
    "inline-tags": {
        "1": ("H2O Filter, 2nd Gen", "Removes CO2 m2 microfibre Word."),
        "2": ("Java Generics T Explained", "List String and Map K,V in one book, 3 5."),
        "3": ("Stool amp amp Bench", "a amp lt b ção bogus"),  # escaped five times, and it is undone three times
    },
}
NATURALLY: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "style-script": {
        "7": ("Teak Stool", "Weight < 5 kg and height > 40 cm, I <3 it"),
        "8": ("Cork Stool", "Light Warm Height:40cm Nice"),
    },
    "invisible": {
        "7": ("保温杯 500ml，不锈钢", "保温杯。不锈钢，轻便；防漏、耐用。"),
        "10": (
            "Vestido de Algodão Infantil nº 8",
            "Vestido de algodão p/ crianças, 1ª linha. Preço: R$ 1.299,90 - à vista!",
        ),
    },
    "inline-tags": {
        "1": ("H2O Filter, 2nd Gen", "Removes CO2; m2 microfibre Word."),
        "2": ("Java Generics <T> Explained", "List<String> and Map<K,V> in one book, 3 < 5."),
        "3": ("Stool & amp;amp; Bench", "a & amp;lt; b - ™ ção &bogus;"),
    },
}


def lines_of(case: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (CASES / f"{case}.json").read_text().splitlines()]


@pytest.mark.parametrize("case", EXPECTED)
def test_texts_are_as_their_owner_would_have_them(case: str) -> None:
    lines = lines_of(case)
    for profile, expected in (SEED, EXPECTED[case]), (NATURAL, EXPECTED[case] | NATURALLY[case]):
        found = {line["uid"]: (clean(line["title"], profile), clean(line["content"], profile)) for line in lines}
        assert found == expected
