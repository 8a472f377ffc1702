"""Numbers are written as each language writes them, and a page holds each of its texts once in each language."""

import doctest
import re
from types import ModuleType

import pytest
from markupsafe import Markup, escape

from command import languages
from command.languages import LANGUAGES, number, percent, sentences, signed
from command.pages import both
from command.pages.both import Both, number_of, percent_of, said, size_of

PACKAGES = ("spark_jobs.card", "trainer.evaluation")
SAME = {"shards", "shards_head", "bar_of_one", "share_and_shards"}  # sentences without a word that differs


@pytest.mark.parametrize(
    ("value", "digits", "english", "portuguese"),
    [
        (0, 0, "0", "0"),
        (999, 0, "999", "999"),
        (1_234_567, 0, "1,234,567", "1.234.567"),
        (1_234.56, 1, "1,234.6", "1.234,6"),
        (-0.5, 2, "-0.50", "-0,50"),
    ],
)
def test_a_number_has_the_marks_of_its_language(value: float, digits: int, english: str, portuguese: str) -> None:
    assert (number(value, "en", digits=digits), number(value, "pt", digits=digits)) == (english, portuguese)


@pytest.mark.parametrize(
    ("share", "english"), [(0, "0%"), (1e-6, "< 0.1%"), (0.0125, "1.2%"), (0.9999, "> 99.9%"), (1, "100%")]
)
def test_only_nothing_is_0_percent_and_only_all_is_100(share: float, english: str) -> None:
    assert (percent(share, "en"), percent(share, "pt")) == (english, english.replace(".", ","))


def test_a_difference_has_its_sign() -> None:
    assert [signed(value, "pt", digits=2) for value in (0.5, -0.5, 0.001)] == ["+0,50", "−0,50", "0,00"]


def test_the_two_languages_of_a_number_have_one_value() -> None:
    assert str(escape(size_of(1_500))) == (
        '<span lang="en"><data value="1500">1.5 kB</data></span>'
        '<span lang="pt-BR"><data value="1500">1,5 kB</data></span>'
    )
    assert str(escape(number_of(7))) == '<data value="7">7</data>'
    assert percent_of(0, 0).en == '<data value="0.0">0%</data>'


def test_texts_are_escaped_unless_they_are_html() -> None:
    assert str(escape(Both("<b>", Markup("<b>")))) == '<span lang="en">&lt;b&gt;</span><span lang="pt-BR"><b></span>'


def test_a_sentence_takes_the_form_of_its_number_and_the_language_of_its_values() -> None:
    def records(num: int) -> Both:
        return said("spark_jobs.card", "records", num)

    assert (records(1).en, records(0).en) == ('<data value="1">1</data> record', '<data value="0">0</data> records')
    whole = said("spark_jobs.card", "records_from_lines", records=records(2), lines="<1>")
    assert (whole.en, whole.pt) == (
        '<data value="2">2</data> records from &lt;1&gt;',
        '<data value="2">2</data> registros de &lt;1&gt;',
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_sentence_is_there_in_both_languages_with_the_same_values(package: str) -> None:
    english, portuguese = (sentences(package, language) for language in LANGUAGES)

    assert list(english) == list(portuguese)
    for name, text in english.items():
        forms, other_forms = ([each] if isinstance(each, str) else each for each in (text, portuguese[name]))
        assert len(forms) == len(other_forms) <= 2, name
        for form, other in zip(forms, other_forms, strict=True):
            assert re.findall(r"{.*?}|<.*?>", form) == re.findall(r"{.*?}|<.*?>", other), name
            assert form.strip(), name
            assert other.strip(), name
            assert (form == other) == (name in SAME), name


@pytest.mark.parametrize("module", [languages, both])
def test_docstrings_tell_the_truth(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert (result.failed, result.attempted > 0) == (0, True)
