"""HTML as a browser shows it: held against a parser, against examples, and against hostile texts by the clock."""

import html
import random
import time
import warnings

import pyarrow as pa
import pytest

from contract.text.clean import clean, clean_array
from contract.text.elements import APART, HIDDEN, HIDDEN_TEXT, INLINE
from tests.contract.text.html_documents import document, shown

MIB = 2**20


def test_made_documents_have_the_words_that_a_parser_finds() -> None:
    draw = random.Random(14)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # html5lib about characters that XML does not allow
        documents = [document(draw) for _ in range(2_000)]
        expected = clean_array(pa.array([shown(text) for text in documents])).to_pylist()

    found = clean_array(pa.array(documents)).to_pylist()

    assert [row for row in zip(documents, found, expected, strict=True) if row[1].split() != row[2].split()] == []
    assert sum(len(text.split()) for text in found) > 5_000


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Re<b>mov</b>es CO<SUB>2</SUB>", "Removes CO2"),
        ("<li>one<li>two<td>three</td><td>four", "one two three four"),
        ("one<br>two<br/>three<hr>four<img src=x>five", "one two three four five"),
        ("<p>Oak.</p><p>Ash.</p>", "Oak. Ash."),
        ("micro<wbr>fibre, pre<span class='x'>fix</span>ed", "microfibre, prefixed"),
        ("<h1>Cup</h1>Holds tea", "Cup Holds tea"),
        ("<svg class=x/>Oak<svg/> stool</svg> x", "Oak stool x"),
        ("Wo<o:p></o:p>rd and cus<my-box>tom</my-box>", "Word and custom"),
    ],
)
def test_inline_tags_leave_nothing_and_blocks_leave_a_blank(raw: str, expected: str) -> None:
    assert clean(raw) == expected
    assert clean(html.escape(raw)) == expected
    assert clean(html.escape(html.escape(raw))) == expected


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>if (a < b) write('<p>x</p>')</script>",
        "<STYLE type='text/css'>p > a{color:red}</STYLE >",
        "<title>Shop</title>",
        "<head><meta charset=utf-8>x</head>",
        "<!-- a <b> > -- b -->",
        "<!-->",
        "<!---->",
        "<!--x--!>",
        "<!--[if gte mso 9]><xml>x</xml><![endif]-->",
        "<!DOCTYPE html PUBLIC '-//W3C//DTD'>",
        '<?xml version="1.0"?>',
        "<?php echo 1 ?>",
        "<noscript><img src=x></noscript>",
        "<template><p>x</p></template>",
        "<a title='x > y' href=\"z\">",
        "<span x='a\" >' y=\"'>\" z=a'b/c>",
        "</3 >",
    ],
)
def test_what_a_browser_does_not_show_vanishes(hidden: str) -> None:
    assert clean(f"Oak{hidden}en stool") == "Oaken stool"
    assert clean(f"Oak{html.escape(hidden)}en stool") == "Oaken stool"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Oak <a href='https://x", "Oak"),
        ("Oak </di", "Oak di"),  # `di` is no element
        ("Oak </div", "Oak"),
        ("Oak <b", "Oak"),
        ('Oak <img alt="a > b', "Oak"),
        ("Oak <!-- cut", "Oak"),
        ("Oak <script>var a = 1;", "Oak"),
        ("Oak <![CDATA[<p>stool", "Oak stool"),
        ("Oak &lt;a href=&quot;x", "Oak"),
        # Text about HTML, which a browser shows. Nothing that follows may be lost.
        ("The &lt;title&gt; and &lt;script&gt; tags", "The and tags"),
        ("The &lt;!-- and the &lt;video&gt; tag", "The and the tag"),
        ("a&lt;b and c", "a b and c"),
    ],
)
def test_what_is_cut_off_is_not_shown_but_text_about_html_is(raw: str, expected: str) -> None:
    assert clean(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("List<T> and <K,V>", "List T and K,V"),
        ("Mail <joe.x> or <https://x.org>", "Mail joe.x or https x.org"),
        ("3 < 5, I <3 it, a<-b, <>", "3 5, I 3 it, a b,"),
        ("a ]]> b", "a b"),
        ("<T <b>x</b>y>", "T xy"),
        ("Set<Brand>, <brand x='<p>'>", "Set Brand , brand x"),
    ],
)
def test_what_is_no_element_stays_text(raw: str, expected: str) -> None:
    assert clean(raw) == expected
    assert clean(html.escape(raw, quote=False)) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<![CDATA[<p>Painted</p> pine.]]>", "Painted pine."),
        ("<![CDATA[Oak]]>en and <![CDATA[ash]]>", "Oaken and ash"),
        ("<![CD<![CDATA[ATA[x", ""),  # removing a mark makes no new one: this is markup that never ends
        ("&lt;![CDATA[Oak &amp;amp; ash]]&gt;", "Oak ash"),
    ],
)
def test_cdata_marks_vanish_and_what_is_between_stays(raw: str, expected: str) -> None:
    assert clean(raw) == expected


def test_texts_of_a_batch_end_where_they_end() -> None:
    texts = ["Oak <a title='", "' href=x>ash", "<script>", "</script>elm", "<!--", "--> fir", "<![CDATA[", "]]> yew"]
    assert clean_array(pa.array(texts)).to_pylist() == [clean(text) for text in texts]
    assert clean_array(pa.array(texts)).to_pylist()[::2] == ["Oak", "", "", ""]


def test_every_element_either_joins_or_parts() -> None:
    assert not INLINE & APART
    assert {*HIDDEN_TEXT, *HIDDEN} <= INLINE | APART


@pytest.mark.parametrize(("size", "is_escaped"), [(4 * MIB, False), (MIB, True)], ids=["written", "escaped"])
@pytest.mark.parametrize(
    "piece",
    [
        *("<!--<b>", "<script>", '<a title="', "<style><script>", "<a x=\"<a x='", "<![CDATA[<b>", "<", '<a b c="'),
        *("<svg>", "<head><video>", "<a ", "<!", "</", "<!---", "<script></script"),
    ],
)
def test_hostile_texts_take_linear_time(piece: str, size: int, is_escaped: bool) -> None:
    """Markup that never ends takes some seconds at most; quadratic time would be hours."""
    piece = html.escape(piece) if is_escaped else piece
    text = piece * (size // len(piece))

    start = time.process_time()
    clean(text)

    assert time.process_time() - start < 20
