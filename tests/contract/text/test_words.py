"""Words of texts with and without blanks between them."""

import doctest

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.text import words
from contract.text.clean import clean
from contract.text.words import part_words
from tests.spark_jobs.near.near_texts import words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("保温杯500ml不锈钢", "保 温 杯 500ml 不 锈 钢"),
        ("コーヒー豆 ﾊﾞｽ", "コ ー ヒ ー 豆 ﾊ ﾞ ｽ"),
        ("น้ำดื่ม 600 มล.", "น้ ำ ดื่ ม 600 ม ล ."),
        ("빨간 컵", "빨 간 컵"),
        ("ນ້ຳ ទឹក ရေ", "ນ້ ຳ ទឹ ក ရေ"),
        ("Red mug, café crème", "Red mug, café crème"),
        ("कप और प्याला", "कप और प्याला"),
        ("か\u3099x", "が x"),
    ],
)
def test_letters_of_scripts_without_blanks_are_words(text: str, expected: str) -> None:
    assert part_words(pa.array([clean(text), "other"])).to_pylist() == [expected, "other"]


_TEXTS = st.text("aé,1 保杯がーか한กำน้ໜຳកឹរេာ\u0301\u200cक", max_size=20).map(clean)


@given(st.lists(_TEXTS, max_size=8))
@settings(max_examples=500, deadline=None)
def test_words_are_those_of_plain_python(texts: list[str]) -> None:
    assert [text.split() for text in part_words(pa.array(texts, pa.string())).to_pylist()] == [*map(words_of, texts)]


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(words)
    assert (result.failed, result.attempted > 0) == (0, True)
