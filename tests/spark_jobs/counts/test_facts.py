"""Facts in signs are found in raw texts as a browser shows them, and the profiles that keep them are known."""

import doctest

import pyarrow as pa
import pytest

from contract.text.clean import clean
from contract.text.profiles import PROFILES
from spark_jobs.counts import facts
from spark_jobs.counts.facts import FACTS, count_facts, count_signs, fate_of, profiles_that_keep, texts_of_records


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rug 3'6\" long", {"feet and inches"}),
        ("10&quot; pan", {"feet and inches"}),
        ("12&#8243; vinyl", {"feet and inches"}),
        ("to -5 &deg;C", {"negative numbers", "degrees"}),
        ("pages 10&ndash;15", {"ranges"}),
        ("1/2 inch", {"fractions"}),
        ("C++ for all", {"names with signs"}),
        ("Ages 18+", {"names with signs"}),
        ("50% off, 3 &times; 4 cm", {"percentages", "dimensions"}),
        ("&plusmn;0,5", {"tolerances"}),
        ("&lt;5 mg, ≥ 3", {"comparisons"}),
        ("~30 cm", {"approximations"}),
        ("AT&amp;T", {"names joined by &"}),
        ("5 € or $6", {"prices"}),
        # These are none.
        ("<p width=\"10\" data-x='1/2'>Well-known, 5 - 6, and/or: it's", set()),
        ("&lt;td colspan=&quot;2&quot;&gt;x", set()),
        ("", set()),
    ],
)
def test_facts_are_found(text: str, expected: set[str]) -> None:
    titles, contents = pa.array([text, "", text, ""]), pa.array(["", text, text, "x"])
    assert count_facts(texts_of_records(titles, contents)) == dict.fromkeys(expected, 3)


def test_each_fact_is_changed_by_one_profile_and_kept_by_another() -> None:
    for name, fact in FACTS.items():
        assert count_facts(pa.array([fact.example])) == {name: 1}
        kept_by = profiles_that_keep(name)
        assert {profile for profile in PROFILES if clean(fact.example, PROFILES[profile]) == fact.example} == {*kept_by}
        assert kept_by == ("natural",)


def test_all_signs_are_counted_and_each_profile_says_what_becomes_of_them() -> None:
    assert count_signs(pa.array(["AT&T ★, ±5★ a1 é°", "漢 \\"])) == {"&": 1, "★": 2, ",": 1, "±": 1, "°": 1, "\\": 1}
    assert [fate_of(sign, "seed") for sign in "&★'•<"] == [" ", " ", "", " ", " "]
    assert [fate_of(sign, "natural") for sign in "&★’•<"] == ["&", " ", "'", ",", "<"]


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(facts)
    assert (result.failed, result.attempted > 0) == (0, True)
