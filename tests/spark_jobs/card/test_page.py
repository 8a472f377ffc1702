"""Both files of the card hold the numbers of the data; texts from the data are shown and have no effect on the page."""

import doctest
import json
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command import pages
from contract.manifest import Manifest, RowCounts, Source
from contract.reasons import REASONS
from spark_jobs.card import content
from spark_jobs.card.content import (
    NUM_EXAMPLES,
    NUM_SOURCES,
    card_json,
    make_card,
    without_secrets,
)
from spark_jobs.card.page import card_html, marked
from spark_jobs.card.schema import Card
from spark_jobs.counts.records import count_read
from tests.contract.data_sets import shard_without_file
from tests.spark_jobs.input.read_batches import Line, batch_of, kept_of, settled

TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "header",
        "section",
        "article",
        "div",
        "figure",
        "figcaption",
    ),
    *("h1", "h2", "h3", "p", "b", "small", "code", "pre", "span", "bdi", "data", "time", "del", "ins", "ul", "li"),
    *("dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "line", "input", "label", "script"),
}
VOID = {"meta", "input"}
ATTRIBUTES = {
    *("type", "id", "for", "checked", "data-lang", "aria-label"),  # of the choice of the language
    *("lang", "charset", "name", "content", "http-equiv", "datetime", "class", "style", "value", "role", "aria-hidden"),
    *("viewbox", "preserveaspectratio", "x", "y", "width", "height", "x1", "x2", "y1", "y2"),
}
HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "</bdi></style><script>alert(1)</script>",
    '"><a href="javascript:alert(1)" style="x">',
    "\u202egnp.exe\u202c \u2066\u200f\u200b\ufeff",
    "nul\0bell\a\x1b[31m\x85\u2028",
    "&lt;b&gt; &amp;amp; <!-- ]]> --> <![CDATA[",
    "{{7*7}} ${7*7} %s \\",
)


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.values: list[float] = []
        self.texts: list[tuple[str, str]] = []  # (innermost tags, text)
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")
        if tag == "data":
            self.values.append(float(dict(attrs)["value"] or "nan"))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_data(self, data: str) -> None:
        self.texts.append((" ".join(self._open), data))

    def text_in(self, tag: str) -> str:
        return "".join(text for tags, text in self.texts if f" {tag}" in tags)


def card_of(lines: list[Line], *, sources: int = 1, command: tuple[str, ...] = ("vitrine", "prepare")) -> Card:
    batch = batch_of(lines)
    records, duplicates = settled(batch)
    rejected = dict.fromkeys(REASONS, 0) | {"duplicate": len(duplicates)}
    rejected["no_title"] = len(lines) - len(records) - len(duplicates)
    manifest = Manifest(
        source=tuple(Source(f"s3://me:pw@bucket/<{number}>.json", 1_000 + number, "") for number in range(sources)),
        text_profile="seed",
        config={"text_profile": "seed", "val_share": 0.01, "shard_rows": 12_345, "<x>": None},
        rows=RowCounts(len(lines), len(records), rejected),
        splits={
            "train": (shard_without_file("train/a", rows=len(records), bytes=65_432, sha256="0" * 64),),
            "val": (),
            "test": (),
        },
        rejected=(shard_without_file("rejected/a", rows=len(lines) - len(records), bytes=777, sha256="1" * 64),),
        created_at="2026-01-01T00:00:00+00:00",
    )
    manifest.check()
    return make_card(manifest, read=count_read(batch, one_in=1), kept=kept_of(records, duplicates), command=command)


def plain_lines(count: int = 200) -> list[Line]:
    """Lines of which one in seven has no title, and one in five is a duplicate."""
    return [
        Line(
            row,
            uid=f"uid{row}",
            title="" if row % 7 == 6 else f"Mug &#8220;{row - (row % 5 == 4)}&#8221;",
            content=f"<p>A <b>fine</b> mug. {'It holds tea &amp; cake. ' * (row // 5)}</p>",
        )
        for row in range(count)
    ]


def hostile_lines() -> list[Line]:
    return [Line(row, text, f"Mug {text}", f"Tea {text} and {text[::-1]}") for row, text in enumerate(HOSTILE)]


def numbers_in(value: object) -> Iterator[float]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(each)
    elif isinstance(value, int | float):
        yield value


def test_every_number_of_the_page_is_in_the_json() -> None:
    made = card_of(plain_lines(), sources=NUM_SOURCES + 2)
    page = Page(card_html(made))
    found = json.loads(card_json(made))
    numbers = set(numbers_in(found)) | {2}  # the sources that are not listed
    wholes = {found["lines"], found["kept"], found["entities"]["total"]}
    wholes |= {
        found["characters"]["before"],
        found["characters"]["sampled_records"],
        found["characters"]["after"],
        *(each["texts"] for each in found["traits"]),
    }
    assert len(page.values) > 100
    assert set(page.values) <= numbers | {count / whole for count in numbers for whole in wholes}
    # No digit stands anywhere else, but for texts from outside, the quantiles' names and the scales.
    for tags, text in page.texts:
        if not re.search(r"data|bdi|style|script|svg|li", tags):
            assert not re.search(r"\d", text), (tags, text)


def test_the_json_has_the_numbers_of_the_data() -> None:
    lines = plain_lines()
    found = json.loads(card_json(card_of(lines)))
    assert not re.search(r'share"', card_json(card_of(lines)).replace('"val_share"', ""))
    kept = [line for line in lines if line.title and line.offset % 5 != 4]
    assert (found["lines"], found["kept"]) == (len(lines), found["splits"][0]["records"])
    assert found["kept"] + sum(each["lines"] for each in found["rejected"]) == len(lines)
    assert [each["reason"] for each in found["rejected"]] == list(REASONS)
    assert found["splits"][0]["bytes"] == 65_432
    titles, contents = found["lengths"]
    assert sum(each["count"] for each in contents["bins"]) == contents["texts"] == found["kept"]
    assert found["entities"]["most_frequent"][0]["entity"] == "&amp;"
    assert found["duplicates"]["groups"] == sum(each["count"] for each in found["duplicates"]["sizes"])
    assert titles["shortest"] == min(len(f"Mug {line.offset}") for line in kept)
    assert len(found["examples"]) == NUM_EXAMPLES


def test_statistics_of_other_lines_are_refused() -> None:
    lines = plain_lines(30)
    made = card_of(lines)
    assert made.lines == 30
    batch = batch_of(lines[:-1])
    manifest = Manifest(
        (),
        "seed",
        {},
        RowCounts(30, 30, {}),
        {"train": (shard_without_file("a", rows=30, bytes=1, sha256="0"),)},
        (),
        "2026",
    )
    with pytest.raises(AssertionError, match="other lines"):
        make_card(manifest, read=count_read(batch, one_in=1), kept=kept_of(*settled(batch)), command=[])


def test_records_that_turned_out_not_to_be_kept_are_no_examples() -> None:
    lines = plain_lines(40)
    batch = batch_of(lines)
    records, duplicates = settled(batch)
    records = records[1:]
    num_rejected = len(lines) - len(records)
    manifest = Manifest(
        source=(),
        text_profile="seed",
        config={},
        rows=RowCounts(len(lines), len(records), {"near_duplicate": num_rejected}),
        splits={"train": (shard_without_file("a", rows=len(records), bytes=1, sha256="0"),), "val": (), "test": ()},
        rejected=(shard_without_file("b", rows=num_rejected, bytes=1, sha256="1"),),
        created_at="2026",
    )
    made = make_card(manifest, read=count_read(batch, one_in=1), kept=kept_of(records, duplicates), command=[])
    assert [(each.title, each.content) for each in made.examples] == [record[1:] for record in records[:NUM_EXAMPLES]]


def check_harmless(text: str) -> Page:
    page = Page(text)
    assert page.tags <= TAGS
    assert page.attributes.keys() <= ATTRIBUTES
    assert all(re.fullmatch(r"left:-?[\d.]+%", value) for value in page.attributes.get("style", ()))
    assert not re.search(r"url\(|@import|@font-face", page.text_in("style"))
    assert page.text_in("script") == (files(pages) / "languages.js").read_text(encoding="utf-8")
    assert "://" not in re.sub(r"(?s)<bdi>.*?</bdi>", "", text)
    unsafe = {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert unsafe <= {"\n", "\t"}
    text.encode()
    return page


def test_hostile_texts_are_shown_and_do_nothing() -> None:
    made = card_of(hostile_lines(), command=("vitrine", *HOSTILE))
    page = check_harmless(card_html(made))
    told = page.text_in("bdi")
    for text in HOSTILE:
        assert "".join(f"U+{ord(c):04X}" if not c.isprintable() else c for c in text) in told
    found = json.loads(card_json(made))
    assert {example["raw_title"] for example in found["examples"]} == {line.title for line in hostile_lines()}
    assert card_json(made).isascii()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=4))
def test_any_texts_are_harmless(texts: list[str]) -> None:
    lines = [Line(row, text, f"Mug {text}", f"Tea {text}") for row, text in enumerate(texts)]
    check_harmless(card_html(card_of(lines, command=tuple(texts))))


def test_changes_are_marked() -> None:
    before, after = marked("Mog&#x2019;s <b>big</b>-cat", "Mogs big cat", is_cut=False)
    assert before == "<bdi>Mog<del>&amp;#x2019;</del>s <del>&lt;b&gt;</del>big<del>&lt;/b&gt;-</del>cat</bdi>"
    assert after == "<bdi>Mogs big<ins> </ins>cat</bdi>"


def test_facts_that_the_profile_changes_are_counted_with_the_profile_that_keeps_them() -> None:
    contents = [
        "<p>3&#39;6&quot; long, 10-15 mm",
        "At &minus;5 &deg;C",
        "Learn C++ and C#",
        "1/2 or 10-15",
        "Plain. x-y",
    ]
    made = card_of([Line(row, f"u{row}", f"Mug {row}", content) for row, content in enumerate(contents)])

    assert {each.facts: each.records for each in made.facts} == {
        "ranges": 2,
        "degrees": 1,
        "feet and inches": 1,
        "fractions": 1,
        "names with signs": 1,
        "negative numbers": 1,
    }
    assert all(each.kept_by == ("natural",) for each in made.facts)
    told = Page(card_html(made)).text_in("table")
    assert all(each.example in told for each in made.facts)
    assert (told.count("changed"), told.count("natural")) == (6, 6)


def test_every_sign_that_the_profile_changes_is_on_the_card() -> None:
    signs = "★✓●&<>=±~|"
    made = card_of([Line(row, f"u{row}", f"Mug {row}", f"a 1{sign}2, b.") for row, sign in enumerate(signs)])
    assert {(each.sign, each.times, each.becomes) for each in made.changed_signs} == {(sign, 1, " ") for sign in signs}
    told = Page(card_html(made)).text_in("table")
    assert all(each.sign in told and each.name in told for each in made.changed_signs)


def test_what_follows_a_cut_is_not_marked_as_inserted() -> None:
    assert marked("One &#38;", "One or two", is_cut=True) == ("<bdi>One <del>&amp;#38;</del></bdi>", "<bdi>One </bdi>")
    assert marked("One two", "One two three", is_cut=True)[1] == "<bdi>One two</bdi>"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("s3://user:pass@bucket/a@b.json", "s3://bucket/a@b.json"),
        ("--input=https://u:p@ss@host/x", "--input=https://host/x"),
        ("hdfs://me@host:9000/x", "hdfs://host:9000/x"),
        ("spark.hadoop.fs.s3a.secret.key=abc", "spark.hadoop.fs.s3a.secret.key=***"),
        ("--conf=spark.hadoop.fs.s3a.access.key=abc", "--conf=spark.hadoop.fs.s3a.access.key=***"),
        ("https://host/x?X-Amz-Signature=abc", "https://host/x?X-Amz-Signature=***"),
        ("spark.ssl.keyPassword=a\nb", "spark.ssl.keyPassword=***"),
        ("--tokenizer=tiny/tokenizer.json", "--tokenizer=tiny/tokenizer.json"),
        ("me@example.org", "me@example.org"),
    ],
)
def test_secrets_are_taken_out_of_the_command(argument: str, expected: str) -> None:
    assert without_secrets(argument) == expected
    made = card_of(plain_lines(5), command=("vitrine", argument))
    assert "pass@" not in card_json(made) + card_html(made)
    assert "pw@" not in card_json(made) + card_html(made)


def test_the_shares_are_those_of_the_counts() -> None:
    lines = plain_lines()
    made = card_of(lines)
    assert 0 < made.kept < len(lines)
    for part, whole in ((made.kept, made.lines), (made.entities.kinds[1].count, made.entities.total)):
        for text in (f"{part / whole:.1%}", f"{part / whole:.1%}".replace(".", ",")):
            assert f'<data value="{part / whole!r}">{text}</data>' in card_html(made)


def test_a_card_of_no_lines_is_a_page() -> None:
    page = Page(card_html(card_of([])))
    assert "0 records from 0 lines" in page.text_in("h1")


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(content)
    assert (result.failed, result.attempted > 0) == (0, True)
