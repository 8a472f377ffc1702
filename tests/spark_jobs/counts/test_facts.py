"""Facts in signs are found in raw texts as a browser shows them, and the profiles that keep them are known."""

import doctest

import pyarrow as pa
import pytest

from contract.text.clean import clean
from contract.text.profiles import PROFILES
from spark_jobs.counts import facts
from spark_jobs.counts.facts import FACTS, count_facts, profiles_that_keep


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
        # These are none.
        ("<p width=\"10\" data-x='1/2'>Well-known, 5 - 6, and/or: it's", set()),
        ("&lt;td colspan=&quot;2&quot;&gt;x", set()),
        ("", set()),
    ],
)
def test_facts_are_found(text: str, expected: set[str]) -> None:
    titles, contents = pa.array([text, "", text, ""]), pa.array(["", text, text, "x"])
    assert count_facts(titles, contents) == dict.fromkeys(expected, 3)


def test_each_fact_is_changed_by_one_profile_and_kept_by_another() -> None:
    for name, fact in FACTS.items():
        assert count_facts(pa.array([fact.example]), pa.array([""])) == {name: 1}
        kept_by = profiles_that_keep(name)
        assert {profile for profile in PROFILES if clean(fact.example, PROFILES[profile]) == fact.example} == {*kept_by}
        assert kept_by == ("natural",)


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(facts)
    assert (result.failed, result.attempted > 0) == (0, True)
