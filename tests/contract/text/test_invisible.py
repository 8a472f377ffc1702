"""Characters that nobody sees: neither do they part words, nor do they stay behind alone."""

import html
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.text.clean import clean, clean_array
from contract.text.profiles import JOINERS, NATURAL, PROFILES, Profile

ZWNJ, ZWJ = JOINERS


@pytest.mark.parametrize("invisible", "\u00ad\u200b\u2060\ufeff\u200e\u200f\u061c\u202a\u2066\u2063\u034f")
@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_what_nobody_sees_parts_no_words(profile: Profile, invisible: str) -> None:
    assert clean(f"Wasch{invisible}maschine {invisible} {invisible}x{invisible}", profile) == "Waschmaschine x"
    assert clean(f"cafe{invisible}\u0301", profile) == "café"
    assert clean(invisible, profile) == ""


def test_entities_of_what_nobody_sees_vanish() -> None:
    assert clean("Wasch&shy;maschine, Wasch&amp;shy;maschine, Wasch&#173;maschine, Wasch&#xAD;maschine") == (
        "Waschmaschine, Waschmaschine, Waschmaschine, Waschmaschine"
    )
    assert clean("a&ZeroWidthSpace;b&NoBreak;c&zwj;d&zwnj;e&lrm;f") == "abcdef"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"کتاب{ZWNJ}های", f"کتاب{ZWNJ}های"),
        (f"क्{ZWJ}ष and क्{ZWNJ}ष", f"क्{ZWJ}ष and क्{ZWNJ}ष"),
        (f"ශ්{ZWJ}රී ලංකා", f"ශ්{ZWJ}රී ලංකා"),
        (f"نامه\u0654{ZWNJ}ای", f"نامهٔ{ZWNJ}ای"),
        (f"می{ZWNJ}{ZWNJ}خواهم", f"می{ZWNJ}خواهم"),  # one of several is enough
        (f"می\u00ad{ZWNJ}\u2060خواهم", f"می{ZWNJ}خواهم"),
        (f"می{ZWNJ} خواهم {ZWNJ}و", "می خواهم و"),  # at an end of a word
        (f"Auf{ZWNJ}lage", "Auflage"),  # Latin needs none
        (f"می{ZWNJ}5{ZWNJ}م", "می5م"),
        (f"\U0001f469{ZWJ}\U0001f373 cook", "cook"),
        (f"می{ZWNJ}'خ", "میخ"),
        (ZWNJ, ""),
    ],
)
def test_joiners_stay_within_words_of_scripts_that_need_them(text: str, expected: str) -> None:
    assert clean(text) == unicodedata.normalize("NFC", expected)


@pytest.mark.parametrize(
    ("text", "seed", "natural"),
    [
        ("I ❤\ufe0f mugs", "I mugs", "I mugs"),
        ("葛\U000e0100城 and \ufe0f", "葛\U000e0100城 and", "葛\U000e0100城 and"),
        ("1\ufe0f\u20e3 litre", "1\ufe0f\u20e3 litre", "1\ufe0f\u20e3 litre"),
        ("1\u20e3 litre", "1\u20e3 litre", "1\u20e3 litre"),
        ("#\ufe0f\u20e3 x", "x", "#\ufe0f\u20e3 x"),
        ("a '\ufe0fb", "a b", "a '\ufe0fb"),
        ("\ufe0f\u20e3x\ufe0f\ufe0f", "x\ufe0f", "x\ufe0f"),
        ("™\ufe0f, ©\ufe0f é\ufe0e", ", é\ufe0e", "™\ufe0f, ©\ufe0f é\ufe0e"),
    ],
)
def test_a_selector_stays_with_its_character_or_goes_with_it(text: str, seed: str, natural: str) -> None:
    assert (clean(text), clean(text, NATURAL)) == (seed, natural)


@pytest.mark.parametrize(
    "text",
    [
        "保温杯。不锈钢，轻便；防漏、耐用！",
        "यह अच्छा है। वह भी॥",
        "جيد، رخيص؛ هل تريد؟",
        "¿Qué? ¡Sí!",
        "3×4 cm",
        "これは、コップです。",
    ],
)
def test_the_natural_profile_keeps_the_sentence_marks_of_all_scripts(text: str) -> None:
    assert clean(text, NATURAL) == text
    assert all(unicodedata.category(character)[0] in "LMN" for character in clean(text).translate({32: "a", 44: "a"}))


def test_letters_that_look_like_blanks_are_blanks() -> None:
    assert (clean("\u3164"), clean("a\u3164b\uffa0c")) == ("", "a b c")


_JOINED = "بخक्\u064b"
_CHARACTERS = st.sampled_from(
    [*JOINERS, *_JOINED, *"\u00ad\u200b\ufeff\ufe0f\u20e3\U000e0100aé1#'❤葛\u0301 \0\U0001f469"]
)
_TEXTS = st.lists(_CHARACTERS, max_size=12).map("".join)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
@given(text=_TEXTS)
@settings(max_examples=1_000, deadline=None)
def test_what_stays_has_its_place_and_cleaning_again_changes_nothing(profile: Profile, text: str) -> None:
    cleaned = clean(text, profile)
    assert clean(cleaned, profile) == cleaned
    assert not set(cleaned) & set("\u00ad\u200b\ufeff\0")
    for position, character in enumerate(cleaned):
        around = cleaned[:position][-1:], cleaned[position + 1 :][:1]
        if character in JOINERS:
            assert all(neighbour and neighbour in _JOINED for neighbour in around)
        if character == "\ufe0f":
            assert around[0] not in ("", " ", "\ufe0f", "\U000e0100")


@given(texts=st.lists(_TEXTS, max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_batch_is_cleaned_like_its_texts(texts: list[str]) -> None:
    assert clean_array(pa.array(texts, pa.string())).to_pylist() == [clean(text) for text in texts]
    assert clean_array(pa.array([html.escape(text) for text in texts], pa.string())).to_pylist() == [
        clean(html.escape(text)) for text in texts
    ]
