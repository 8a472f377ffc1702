"""The whole card is there in both languages: each text of ours twice, each text of the catalogue once and unchanged."""

import doctest
import re
import string
import unicodedata
from html.parser import HTMLParser
from importlib.resources import files
from itertools import chain, pairwise

import pytest

from command.languages import sentences
from command.pages.both import TAGS
from command.pages.render import visible
from contract.reasons import REASONS
from spark_jobs.card import words
from spark_jobs.card.page import card_html
from spark_jobs.card.words import meaning_of, name_of, portuguese
from spark_jobs.counts.facts import FACTS
from spark_jobs.counts.traits import class_of
from spark_jobs.input.notes import NOTES
from tests.spark_jobs.card.test_page import card_of, hostile_lines, plain_lines

SAME = {"Vitrine", "English", "Português", "shard", "shards", "Shards", "B"}  # in both languages
NOT_OURS = {"bdi", "code", "time"}  # elements of texts from outside and of names of settings
NOT_UNICODE = {"any other number", "no character", "nothing"}


class Texts(HTMLParser):
    """The texts of a page, each with the open elements and with the language that an element around it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[list[str], str | None, str]] = []
        self.spans: list[str] = []  # the languages that elements name, in order
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        language = dict(attrs).get("lang")
        if tag not in ("meta", "input"):
            self._open.append((tag, language))
        if language and tag != "html":
            self.spans.append(language)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        languages = [language for tag, language in self._open if language and tag != "html"]
        assert len(languages) <= 1, (languages, data)
        self.found.append(([tag for tag, _ in self._open], languages[0] if languages else None, data))


def test_no_text_of_ours_is_there_in_one_language_only() -> None:
    texts = Texts(card_html(card_of(plain_lines(1_500), sources=30)))

    ours = [
        text.strip(" \n0123456789")
        for tags, language, text in texts.found
        if language is None and not NOT_OURS & {*tags} and {"style", "script", "title"}.isdisjoint(tags)
    ]
    assert {text for text in ours if re.search(r"[A-Za-z]", text)} == SAME
    assert {*texts.spans} == {*TAGS.values()}
    assert len(texts.spans) > 300
    assert all(one != other for one, other in pairwise(texts.spans))  # English and Portuguese take turns


def test_figures_are_written_as_each_language_writes_them() -> None:
    texts = Texts(card_html(card_of(plain_lines(1_500))))

    def heading(tag: str) -> str:
        return "".join(text for tags, language, text in texts.found if "h1" in tags and language == tag)

    assert heading("en") == "1,071 records from 1,500 lines"
    assert heading("pt-BR") == "1.071 registros de 1.500 linhas"
    for tags, language, text in texts.found:
        if not (NOT_OURS | {"style", "script"}) & {*tags}:
            wrong = {"en": r"\d,(?!\d{3}\b)", "pt-BR": r"\d\.(?!\d{3}\b)\d"}
            assert not re.search(wrong.get(language or "", r"\d[.,]\d"), text), (language, text)


def test_texts_of_the_catalogue_are_there_once_and_as_they_are() -> None:
    made = card_of(hostile_lines())
    found = Texts(card_html(made)).found

    shown = "".join(text for tags, language, text in found if {"article", "bdi"} <= {*tags} and not language)
    texts = [(each.uid, each.raw_title, each.raw_content, each.title, each.content) for each in made.examples]
    assert len(texts) == len(hostile_lines())
    assert shown == "".join(text for _, _, text in Texts(visible("".join(chain(*texts)))).found)


def test_every_sentence_of_the_card_is_used() -> None:
    template = (files("spark_jobs.card") / "page.html").read_text(encoding="utf-8")
    lengths = {f"{of}_{unit}" for of in ("titles", "contents") for unit in ("characters", "tokens")}
    used = {*re.findall(r'"(\w+)"', template)} | lengths
    assert sentences("spark_jobs.card", "en").keys() - used == set()


def classes() -> set[str]:
    """All classes of characters that there are."""
    return {class_of(chr(code)) for code in range(0x110000)}


def test_every_name_has_a_portuguese_one_and_none_is_left_over() -> None:
    found = portuguese()

    assert found["reasons"].keys() == REASONS.keys()
    assert found["notes"].keys() == NOTES.keys()
    assert found["facts"].keys() == FACTS.keys()
    assert found["classes"].keys() == classes()
    assert found["entities"].keys() == {"named", "decimal", "hex"}
    assert all(text.strip() for table in found.values() for text in table.values())
    # Options, names of reasons and examples stand in a note as they are.
    for name, note in NOTES.items():
        assert set(re.findall(r"--\w+|\bnot_\w+|\{.*\}", note)) <= set(
            re.findall(r"--\w+|\bnot_\w+|\{.*\}", found["notes"][name])
        ), name


def test_every_portuguese_name_of_a_character_is_that_of_a_character() -> None:
    names = portuguese()["characters"].keys() - NOT_UNICODE
    assert [name for name in names if not unicodedata.lookup(name)] == []
    assert all(name_of(sign, "pt") != name_of(sign) for sign in string.punctuation)


@pytest.mark.parametrize(
    ("character", "english", "name"),
    [
        ("é", "latin small letter e with acute", "e minúsculo com acento agudo"),
        ("Ç", "latin capital letter c with cedilla", "C maiúsculo com cedilha"),
        ("æ", "latin small letter ae", "ae minúsculo"),
        ("ấ", "latin small letter a with circumflex and acute", "latin small letter a with circumflex and acute"),
        ("ת", "hebrew letter tav", "hebrew letter tav"),
        ("\x85", "no character", "caractere nenhum"),
    ],
)
def test_a_character_has_a_portuguese_name_or_keeps_that_of_unicode(character: str, english: str, name: str) -> None:
    assert (name_of(character), name_of(character, "pt")) == (english, name)


def test_an_entity_means_its_characters_in_both_languages() -> None:
    assert (meaning_of("&#x2014;"), meaning_of("&#x2014;", "pt")) == ("— em dash", "— travessão")
    assert (meaning_of("&nbsp;"), meaning_of("&nbsp;", "pt")) == ("no-break space", "espaço sem quebra")
    assert (meaning_of("&#…;"), meaning_of("&#…;", "pt")) == ("any other number", "qualquer outro número")


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(words)
    assert (result.failed, result.attempted > 0) == (0, True)
