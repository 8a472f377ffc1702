"""What each filter rejects, and that it rejects nothing else."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import UserError
from contract.reasons import KEPT, REASON_CODE, REASON_NAMES
from contract.text.profiles import PROFILES
from spark_jobs.config import PrepareConfig
from spark_jobs.filters import FILTERS, Filters, filter_records, repeats_phrases, repeats_title, require_languages

DESCRIPTION = "Hand thrown from red clay, glazed twice, this mug holds a quarter litre of tea and keeps it warm."


def judge(filters: Filters, *pairs: tuple[str, str]) -> list[str]:
    titles, contents = (pa.array(column, pa.string()) for column in zip(*pairs, strict=True))
    reasons = filter_records(titles, contents, reasons=np.full(len(pairs), KEPT, np.int8), filters=filters)
    return ["kept" if reason == KEPT else REASON_NAMES[reason] for reason in reasons.tolist()]


def test_lengths_are_in_characters_and_both_ends_are_allowed() -> None:
    pairs = [("é" * length, "ü" * length) for length in (1, 2, 3, 4)]
    assert judge(Filters(min_title_chars=2, max_title_chars=3), *pairs) == [
        "title_length",
        "kept",
        "kept",
        "title_length",
    ]
    filters = Filters(min_content_chars=2, max_content_chars=3)
    assert judge(filters, *pairs) == ["content_length", "kept", "kept", "content_length"]


@pytest.mark.parametrize(
    ("title", "content", "expected"),
    [
        ("Red Mug", "Red Mug", True),
        ("Red Mug", "RED MUG.", True),
        ("Red Mug", "Red Mug, Red Mug. red mug", True),
        ("Red Mug, large, 250 ml", "large 250 ml", True),
        ("Red Mug!", "red mug", True),
        ("Red Mug", "Red mug!", True),
        ("Red Mug", "Red Mug Red", False),
        ("Red Mug", "Mug Red", False),
        ("Red Mug", "Red Mugs", False),
        ("Red Mug", DESCRIPTION, False),
        ("保温杯 500ml", "保温杯500ml", True),
        ("保温杯", "保温杯保温杯", True),
        ("保温杯", "保温杯不锈钢", False),
    ],
)
def test_a_content_repeats_the_title(title: str, content: str, expected: bool) -> None:
    assert repeats_title(title, content) == expected
    assert judge(Filters(drop_repeated_titles=True), (title, content)) == ["repeats_title" if expected else "kept"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("test item not to bid " * 20, True),
        ("buy now " * 6, True),
        ("buy now buy now", False),  # too short to tell
        (DESCRIPTION, False),
        (DESCRIPTION + " " + DESCRIPTION, False),
        (" ".join([DESCRIPTION] * 3), True),
        ("测试商品请勿下单" * 20, True),
        ("テスト商品です。" * 9, True),
        ("สินค้าทดสอบ" * 9, True),
        ("这款保温杯采用不锈钢材质 双层真空保温 容量五百毫升 适合办公室和户外使用", False),
        ("스테인리스 진공 보온병은 사무실과 야외에서 사용하기 좋습니다", False),
    ],
)
def test_a_content_repeats_phrases(content: str, expected: bool) -> None:
    assert repeats_phrases(content) == expected
    assert judge(Filters(drop_repeated_phrases=True), ("Mug", content)) == ["repeated_phrase" if expected else "kept"]


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_the_shortcut_by_words_changes_nothing(words: list[str]) -> None:
    phrases = list(zip(words, words[1:], words[2:], strict=False))
    expected = len(words) >= 12 and len(set(phrases)) < 0.4 * len(phrases)
    assert repeats_phrases(" ".join(words)) == expected


def test_languages_that_are_not_asked_for_are_rejected_and_short_texts_are_not() -> None:
    pytest.importorskip("py3langid")
    portuguese = "Caneca de barro vermelho feita à mão, esmaltada duas vezes, mantém o chá quente por muito tempo."
    pairs = [("Red clay mug", DESCRIPTION), ("Caneca de barro", portuguese), ("Tasse", "rouge")]
    assert judge(Filters(languages="en"), *pairs) == ["kept", "language", "kept"]
    assert judge(Filters(languages="pt,en"), *pairs) == ["kept", "kept", "kept"]
    with pytest.raises(UserError, match=r"unknown language 'xq'"):
        require_languages(("en", "xq"))


def test_filters_stand_in_the_order_of_precedence_and_their_fields_are_settings() -> None:
    codes = [REASON_CODE[row.reason] for row in FILTERS]
    assert codes == sorted(set(codes))
    settings = {field.name for field in dataclasses.fields(PrepareConfig)}
    assert {field.name for field in dataclasses.fields(Filters)} <= settings
    assert not any(row.is_on(Filters()) for row in FILTERS)


def test_a_record_is_rejected_for_the_first_reason_in_order() -> None:
    filters = Filters(min_title_chars=9, min_content_chars=9, drop_repeated_titles=True, drop_repeated_phrases=True)
    junk = "ab " * 20
    assert judge(
        filters, ("ab", "ab"), ("ab ab ab ab", "ab"), ("ab ab ab ab", "ab ab ab ab"), ("Long enough", junk)
    ) == [
        "title_length",
        "content_length",
        "repeats_title",
        "repeated_phrase",
    ]


def test_what_was_rejected_before_stays_so() -> None:
    code = REASON_CODE["no_title"]
    reasons = filter_records(
        pa.array(["", "a"]),
        pa.array(["x", "x"]),
        reasons=np.array([code, KEPT], np.int8),
        filters=Filters(min_title_chars=5),
    )
    assert [REASON_NAMES[reason] for reason in reasons] == ["no_title", "title_length"]


def test_the_profile_says_what_is_filtered_and_settings_win() -> None:
    seed = PrepareConfig(input="a", output="b")
    natural = PrepareConfig(input="a", output="b", text_profile="natural")
    assert seed.filters() == Filters()
    assert natural.filters() == Filters(drop_repeated_titles=True, drop_repeated_phrases=True)
    assert all(PrepareConfig(input="a", output="b", text_profile=name).filters() for name in PROFILES)
    assert (
        not PrepareConfig(input="a", output="b", text_profile="natural", drop_repeated_titles=False)
        .filters()
        .drop_repeated_titles
    )
    assert PrepareConfig(input="a", output="b", languages="en,pt").filters() == Filters(languages="en,pt")
