"""Counts of entities, tags and characters over bytes equal those of regular expressions over each text."""

import doctest
import html
import html.entities
import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.counts import traits
from spark_jobs.counts.traits import (
    NUM_CODE_POINTS,
    OTHER_DECIMAL,
    OTHER_HEX,
    class_of,
    count_characters,
    kind_of,
    traits_of,
)
from tests.spark_jobs.input.read_batches import slice_of

ENTITY = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")  # what html.unescape looks at
TAG = re.compile(r"</?[A-Za-z][^<>]*>")

PIECES = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["&", "&&", "<", ">", "</", "<!--", ";", "#", "x", "&#", "&#x", "AT&T;", "&notit;", "&ampamp"]),
    st.sampled_from(["&amp;", "&AMP", "&copy2", "&nosuch;", "&#0;", "&#0151;", "&#X92", "&#x1F600;", "&#99999999999;"]),
    st.sampled_from(["<b>", "</p\n>", "<br/>", "<3", "< b>", "<é>", "é", "茶", "x" * 12, "\0"]),
    st.sampled_from(sorted(html.entities.html5)).map("&".__add__),
)
TEXTS = st.lists(st.lists(PIECES, max_size=6).map("".join), max_size=6)


def entities_of(text: str) -> list[str]:
    return [found for found in ENTITY.findall(text) if html.unescape(found) != found]


@settings(deadline=None, max_examples=400)
@given(TEXTS)
def test_texts_hold_what_regular_expressions_find(texts: list[str]) -> None:
    counted, entities = traits_of(slice_of(texts))
    assert counted.num_texts == sum(map(bool, texts))
    assert counted.num_with_entity == sum(bool(entities_of(text)) for text in texts)
    assert counted.num_with_tag == sum(bool(TAG.search(text)) for text in texts)
    assert counted.num_beyond_ascii == sum(not text.isascii() for text in texts)
    found = [entity for text in texts for entity in entities_of(text)]
    assert entities.total() == len(found)
    kinds = Counter("hex" if text[:3].lower() == "&#x" else "decimal" if text[1] == "#" else "named" for text in found)
    assert Counter(kind for entity in entities.elements() for kind in [kind_of(entity)]) == kinds


@pytest.mark.parametrize("tail", ["", ";", " and more than a dozen bytes", "; and more than a dozen bytes"])
def test_every_entity_is_counted_as_what_it_stands_for(tail: str) -> None:
    names = sorted({name.removesuffix(";") for name in html.entities.html5})
    numbers = [f"#{code}" for code in (0, 38, 151, 8217, NUM_CODE_POINTS - 1)]
    for name in [*names, *numbers, "#x26", "#X2019", "#x0092"]:
        text = f"&{name}{tail}"
        _, entities = traits_of(pa.array([text]))
        if not entities:
            assert html.unescape(text) == text
            continue
        (spelling,) = entities
        assert html.unescape(text).startswith(html.unescape(spelling)), text
        assert spelling.endswith(";")


def test_an_entity_does_not_reach_into_the_next_text() -> None:
    counted, entities = traits_of(pa.array(["Ben &", "amp; Jerry &a", "mp;", "&#3", "9;"]))
    assert (counted.num_with_entity, dict(entities)) == (1, {"&#3;": 1})


def test_a_tag_does_not_reach_into_the_next_text() -> None:
    assert traits_of(pa.array(["a <b", ">", "<", "/i>", "x</", "b>"]))[0].num_with_tag == 0


def test_the_number_of_spellings_is_bounded() -> None:
    texts = [f"&#{code};&#x{code:X};&#0{code};" for code in range(0, 0x11000, 3)]
    _, entities = traits_of(pa.array(texts))
    assert entities.total() == 3 * len(texts)
    assert len(entities) == 2 * NUM_CODE_POINTS // 3 + 2
    assert entities[OTHER_DECIMAL] == 2 * entities[OTHER_HEX] > 0


@settings(deadline=None)
@given(TEXTS)
def test_characters_are_counted_by_class(texts: list[str]) -> None:
    assert count_characters(slice_of(texts)) == Counter(map(class_of, "".join(texts)))


def test_there_are_few_classes() -> None:
    classes = {class_of(chr(code)) for code in range(0x30000) if not 0xD800 <= code < 0xE000}
    assert len(classes) < 30


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(traits)
    assert (result.failed, result.attempted > 0) == (0, True)
