"""The text rules of the contract: exact, idempotent, the same for one text and for many."""

import html
import html.entities
import random
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import UserError
from contract.text.clean import clean, clean_array
from contract.text.escapes import num_with_escapes
from contract.text.profiles import JOINERS, NATURAL, PROFILES, SEED, Profile, find_profile

# What real catalogues are made of, so that random texts hit the rules.
_FRAGMENTS = st.sampled_from(
    [
        *(
            "&amp;",
            "&#x2019;",
            "&#151;",
            "&lt;",
            "b",
            "&gt;",
            "<br>",
            "</p>",
            "<!--",
            "-->",
            "<",
            ">",
            "&",
            "#",
            ";",
            "x",
        ),
        *(
            "Ã©",
            "â€™",
            "Ã",
            "³",
            "©",
            "e\u0301",
            "\u0301",
            "'",
            "’",
            "”",
            "...",
            "…",
            " ",
            "\u00a0",
            "\t",
            "ﬁ",
            "5",
            ".",
            ",",
        ),
        *(
            "<script>",
            "</script>",
            "<!DOCTYPE",
            "<![CDATA[",
            "]]>",
            "<p title='",
            '"',
            "<T>",
            "</b>",
            "<o:p>",
            "/",
            "=",
        ),
        *("\u200c", "\u200d", "\ufe0f", "\u20e3", "\u00ad", "\ufeff", "ب", "क्", "❤", "1", "。", "¿", "×", "\u3164"),
        *(
            "\ud800",
            "\u0000",
            "漢",
            "🙂",
            "\u037e",
            "\u1fef",
            "\u2126",
            "\u200d",
            "amp;",
            "quot",
            "&copy",
            *("\\n", "\\u003c", "\\", "\u0338", "lt", "gt;", "±", "™"),
            "á",
            "ß",
            "İ",
        ),
    ]
)
_TEXTS = st.one_of(st.text(), st.lists(_FRAGMENTS, max_size=12).map("".join))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Mog&#x2019;s Kittens", "Mogs Kittens"),
        ("best&#8211;selling", "best selling"),
        ("it&#151;s an em dash", "it s an em dash"),  # HTML5 reads the control as Windows-1252
        ("10&quot; tall", "10 tall"),
        ("&amp;quot;quoted&amp;quot;", "quoted"),
        ("&amp;amp;lt;b&amp;amp;gt;bold", "bold"),  # the third unescape finds the tag
        ("&copy2010 &rsquo 5", "2010 rsquo 5"),
        ("caf&#xC3;&#xA9;", "café"),
        ("hisMontreal<br/>Gazette", "hisMontreal Gazette"),
        ("5 < 6 and 7 > 6", "5 6 and 7 6"),  # no letter after <, no tag
        ("a<!-- <b>hidden</b> -->z", "az"),  # as a browser shows it
        ("cafe\u0301", "café"),
        ("rock ’n’ roll, 2.5 m²", "rock n roll, 2.5 m²"),
        ("a\u00a0\u2003\tb\r\nc", "a b c"),
        ("&nbsp; <p></p> &#160;", ""),
        ("\u201cquoted\u201d \u2039x\u203a 5\u2032 6\u2033", "quoted x 5 6"),
        ("漢字 ｗｉｄｅ ½", "漢字 ｗｉｄｅ ½"),
        ("", ""),
    ],
)
def test_seed_profile_cleans_as_specified(raw: str, expected: str) -> None:
    assert clean(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Mog&#x2019;s &#147;best&#148; &ndash; it&rsquo;s&hellip;", "Mog's \"best\" - it's..."),
        ("salt &amp; pepper <b>mix</b>: 50%", "salt & pepper mix: 50%"),
        ("AT&amp;T, R&B, a=b: ±0,5 °C, <5 mg, ~30 cm, m^2", "AT&T, R&B, a=b: ±0,5 °C, <5 mg, ~30 cm, m^2"),
        ("[2-pack] List<T> 5 ≤ 6 {x} a|b", "[2-pack] List<T> 5 ≤ 6 {x} a|b"),
        ("50％（税込）「杯」 ™ ₹5 col·lecció ⌀ 3", "50％（税込）「杯」 ™ ₹5 col·lecció ⌀ 3"),
        # Where HTML would read more in them, a blank follows.
        ("&amp;amp;amp;amp;lt;x", "& amp;lt;x"),
        ("x <\u00adb> &\u00adlt; y", "x < b> & lt; y"),
    ],
)
def test_natural_profile_keeps_sentence_punctuation(raw: str, expected: str) -> None:
    assert clean(raw, NATURAL) == expected


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
@given(text=_TEXTS)
@settings(max_examples=400, deadline=None)
def test_cleaning_is_idempotent_and_leaves_only_the_profiles_characters(profile: Profile, text: str) -> None:
    cleaned = clean(text, profile)

    assert clean(cleaned, profile) == cleaned
    foreign = [character for character in cleaned if not _is_allowed(character, profile)]
    assert not foreign, [hex(ord(character)) for character in foreign]
    assert cleaned == cleaned.strip(" ")
    assert "  " not in cleaned
    assert unicodedata.is_normalized("NFC", cleaned)


def _is_allowed(character: str, profile: Profile) -> bool:
    category = unicodedata.category(character)
    # Cn: RE2 may know a newer Unicode than this Python.
    return (
        category[0] in "LMN"
        or category in ("Cn", *profile.keep_categories)
        or character in profile.keep + JOINERS + " "
    )


@given(texts=st.lists(_TEXTS.map(lambda text: text.encode("utf-16", "replace").decode("utf-16")), max_size=8))
@settings(max_examples=200, deadline=None)
def test_a_batch_is_cleaned_like_its_texts_one_by_one(texts: list[str]) -> None:
    assert clean_array(pa.array(texts, pa.string())).to_pylist() == [clean(text) for text in texts]


def test_every_entity_means_what_html5_says() -> None:
    names = [f"&{name}" for name in html.entities.html5]
    numbers = [f"&#{code}{end}" for code in (*range(0, 700), 0xD800, 0x10FFFF, 0x110000) for end in (";", "", " ")]
    generator = random.Random(0)
    mixed = ["".join(generator.choices([*names, *numbers, "a", " ", "<", "&", ";"], k=5)) for _ in range(3_000)]
    entities = names + [name.rstrip(";") for name in names] + numbers + mixed
    unescaped = [html.unescape(html.unescape(html.unescape(entity))) for entity in entities]

    assert clean_array(pa.array(entities)).to_pylist() == clean_array(pa.array(unescaped)).to_pylist()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (r"one\ntwo\r\nthree\tfour\\nfive", "one two three four five"),
        (r"it\'s 5\" 1\/2 it\u2019s \u003cb\u003ebold\u003c\/b\u003e", "it's 5\" 1/2 it's bold"),
        (r"\ud83d\ude00caf\u00e9 \ud83d \u0000 x", "café x"),
        (r"A:\nYes. Size:\nlarge", "A: Yes. Size: large"),
        (r"C:\new \\server\temp", "C: new server temp"),  # paths
        ("\\" * 100_000, ""),
        (r"5 &#92;n", "5 n"),
    ],
)
def test_escapes_that_were_written_twice_part_words(raw: str, expected: str) -> None:
    assert clean(raw, NATURAL) == expected
    assert clean(raw) == clean(expected)


def test_texts_with_escapes_are_counted_in_a_slice_as_well() -> None:
    texts = pa.array([r"a\nb", "", r"C:\new", "plain", r"it\'s", r"a\nb"])
    assert [num_with_escapes(texts[start:end]) for start, end in ((0, 6), (1, 5), (1, 4), (5, 6), (0, 0))] == [
        3,
        1,
        0,
        1,
        0,
    ]


def test_words_on_either_side_of_a_block_stay_apart() -> None:
    for tag in ("<br>", "</p>", "&lt;BR /&gt;", "&#60;li&#62;", "<img src='x'>", "<td class='x > y'>"):
        assert clean(f"one{tag}two") == "one two", tag


def test_nulls_become_empty() -> None:
    assert clean_array(pa.array([None, "a"], pa.string())).to_pylist() == ["", "a"]


def test_seed_is_the_default_and_an_unknown_profile_is_named_with_its_nearest() -> None:
    assert find_profile("seed") is SEED
    with pytest.raises(UserError, match=r"'sead': did you mean 'seed'\?"):
        find_profile("sead")
