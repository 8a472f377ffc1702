"""Files that are one document: JSON arrays and lists in objects, XML feeds; and files that are nothing of the kind."""

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import UserError
from spark_jobs.input.documents.elements import iter_elements
from spark_jobs.input.documents.place import Place, find_place
from spark_jobs.input.documents.shape import Shape, shape_of
from spark_jobs.input.fields import FieldNames
from tests.spark_jobs.input.outcomes import Outcome, outcome_of

NAMES = FieldNames(uid="uid", title="title", content="content")
KETTLES = [
    {"uid": f"u{number}", "title": f"Plain Kettle {number}", "content": f'Kettle "{number}" [boils]{{}} a \\ litre.'}
    for number in range(3)
]
RECORDS = [(f"u{number}", f"Plain Kettle {number}", f'Kettle "{number}" [boils]{{}} a litre.') for number in range(3)]
LINES = [json.dumps(kettle) for kettle in KETTLES]

# Layouts in which the three kettles are found, whatever stands around them.
LAYOUTS = {
    "compact": json.dumps(KETTLES),
    "pretty": json.dumps(KETTLES, indent=2),
    "an object a line": "[\n" + ",\n".join(LINES) + "\n]\n",
    "commas in front": "[" + "\n,".join(LINES) + "]",
    "one after the other": "".join(LINES),
    "pretty, one after the other": "\n".join(json.dumps(kettle, indent=4) for kettle in KETTLES),
    "carriage returns": "\r".join(LINES) + "\r",
    "arrays, one after the other": f"[{LINES[0]}]\n[{LINES[1]},{LINES[2]}]\n[]",
    "a mark in front": "\ufeff  \n" + json.dumps(KETTLES),
    "products": json.dumps({"from": 1, "total": 3, "products": KETTLES}),
    "products, pretty": json.dumps({"products": KETTLES, "canonicalUrl": "/v1"}, indent=1),
    "among other lists": json.dumps(
        {"sort": [{"id": "x", "name": "[{"}], "results": KETTLES, "filters": [{"id": "y", "values": [{"title": 1}]}]}
    ),
    "below objects": json.dumps({"data": {"hits": {"total": {"value": 3}, "hits": KETTLES}}}),
    "a page a value": "\n".join(json.dumps({"hits": [kettle], "page": 0}, indent=1) for kettle in KETTLES),
    "a page a line": "\n".join(json.dumps({"page": 1, "hits": hits}) for hits in (KETTLES[:2], [], KETTLES[2:])),
    "an array of pages": json.dumps([{"hits": KETTLES[:2]}, {"hits": []}, {"hits": KETTLES[2:]}]),
    "a name with an escape": json.dumps({"pro\u00addutos é": KETTLES}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("parallelism", [1, 8])
def test_records_of_any_layout(layout: str, parallelism: int, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(LAYOUTS[layout])
    expected = Outcome(lines=3, records=RECORDS, rejected={}, notes={})
    assert outcome_of(tmp_path / "a.json", parallelism=parallelism) == expected
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(LAYOUTS[layout].encode()))
    assert outcome_of(tmp_path / "a.json.gz", parallelism=parallelism) == expected
    (tmp_path / "u.json").write_bytes(LAYOUTS[layout].removeprefix("\ufeff").encode("utf-16"))
    assert outcome_of(tmp_path / "u.json", parallelism=parallelism) == expected


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES),
        "\n\n".join(LINES),
        LINES[0][:30] + "\n" + "\n".join(LINES),
        '{"uid": "a",\n' + "\n".join(LINES),
        LINES[0] + LINES[1] + "\n" + "\n".join(LINES),
        f"[{LINES[0]}]\n" + "\n".join(LINES),
        "42\n" + "\n".join(LINES),
        '["title": "a", \n' + "\n".join(LINES),
        '{"uid": "a", "x": [\n]}\n' + "\n".join(LINES),
        "<br/> lost\n" + "\n".join(LINES),
        "{'title': 'a', 'content': 'b'}\n" + "\n".join(LINES),
        '{"title": "' + "x" * 100_000 + '", "content": "y"}\n' + LINES[0],
        "",
        "\n",
    ],
)
def test_a_broken_line_makes_no_other_layout(text: str) -> None:
    assert shape_of(text.encode(), is_whole=True) is Shape.LINES


def test_what_is_no_record_in_an_array_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        f'[1, {LINES[0]}, "a, b", null, [{LINES[1]}], {{"title": "x"}}, {{]]}}, 2.5]'.replace("{]]}", "{'a}")
    )
    found = outcome_of(tmp_path / "a.json")
    assert (found.lines, found.records) == (8, RECORDS[:1])
    assert found.rejected == {"not_a_record": 5, "no_content": 1, "not_json": 1}


def test_a_record_that_is_too_long_costs_no_other(tmp_path: Path) -> None:
    long = json.dumps({"title": "x", "content": "y" * 5_000_000, "x": [{"y": 1}]})
    (tmp_path / "a.json").write_text(f"[{LINES[0]}, {long}, {LINES[1]}, {long}]")
    found = outcome_of(tmp_path / "a.json")
    assert (found.lines, found.records, found.rejected) == (4, RECORDS[:2], {"too_long": 2})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-1], "ends after .* bytes in the middle of a value"),
        (lambda text: text[: len(text) // 2], "in the middle of a value that begins at byte"),
        (lambda text: text.replace("0", '"0', 1), "in the middle of a value"),
        (lambda text: text[:-2] + text[-1:], "in the middle of a value"),
        (lambda text: text + "]", "the bracket at byte .* closes none"),
    ],
)
def test_an_array_that_is_not_whole_is_refused(damage: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(damage(json.dumps(KETTLES)))  # type: ignore[operator]
    with pytest.raises(UserError, match=rf"a\.json is no whole JSON: .*{message}"):
        outcome_of(tmp_path / "a.json")


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text('ab"\\[]{},é\n', max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text('"\\a]', max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200)
@given(st.lists(JSON_VALUES, max_size=8), st.sampled_from([None, 1]), st.booleans(), st.integers(1, 40), st.booleans())
def test_elements_are_those_that_a_parser_finds(
    values: list[object], indent: int | None, ascii_only: bool, chunk_bytes: int, named: bool
) -> None:
    if named:  # elements of a list below the top are objects and lists
        values = [value for value in values if isinstance(value, dict | list)]
    whole = {"x": [[{}], {"list": [1]}], "list": values, "y": {"list": [{}]}} if named else values
    text = json.dumps(whole, indent=indent, ensure_ascii=ascii_only).encode()
    place = Place(1, is_top=False, passed_over=frozenset({b"x"})) if named else Place()
    found = [
        (json.loads(lines.line(position)), int(lines.offsets[position]))
        for lines in iter_elements(io.BytesIO(text), place, path="x", max_line_bytes=10**6, chunk_bytes=chunk_bytes)
        for position in range(len(lines))
    ]
    assert [value for value, _ in found] == values
    assert [offset for _, offset in found] == sorted({offset for _, offset in found})


def test_an_empty_array_has_no_records(tmp_path: Path) -> None:
    for text in ("[]", "[ \n ]", '{"products": []}'):
        (tmp_path / "a.json").write_text(text)
        assert outcome_of(tmp_path / "a.json").records == []


def test_a_list_with_a_title_alone_makes_no_pages(tmp_path: Path) -> None:
    lines = [{"name": kettle["title"], "images": [{"title": "front"}], "content": "x"} for kettle in KETTLES]
    lines += [{"name": kettle["title"], "images": [{"title": "front", "content": "y"}]} for kettle in KETTLES]
    (tmp_path / "a.json").write_text("\n".join(map(json.dumps, lines)))
    assert outcome_of(tmp_path / "a.json").rejected == {"no_title": 6}
    assert len(outcome_of(tmp_path / "a.json", title="name").records) == 3


def test_records_are_where_the_title_is() -> None:
    wrapped = b'{"a": [{"name": 1}], "b": {"c": [{"name": {"en": "x"}, "title": 2}]}}'
    assert find_place(wrapped, NAMES) == Place(2, is_top=False)
    assert find_place(wrapped, NAMES._replace(title="name.en", content="b")) == Place(1, is_top=False)
    assert find_place(b'{"title": 1, "variants": [{"title": 2}]}', NAMES) == Place()
    assert find_place(b'[{"title": 1, "variants": [{"title": 2}]}]', NAMES) == Place()
    nameless = b'{"a": [{"x": 1}], "b": [{"y": 1}, {"y": 2}], "c": [1]}'
    assert find_place(nameless, NAMES) == Place(1, is_top=False, passed_over=frozenset({b"a"}))


PRODUCTS = [{"uid": f"p{number}", "title": f"Tray {number}", "content": f"Oak, {number} cm"} for number in range(5)]


@pytest.mark.parametrize(
    ("whole", "num_kept", "rejected"),
    [
        ({"categories": PRODUCTS[:1], "products": PRODUCTS[1:]}, 5, {}),
        ({"shoes": PRODUCTS[:2], "lamps": PRODUCTS[2:], "facets": [{"size": 3}]}, 5, {}),
        ({"brands": [{"title": "Oak & Sons"}], "products": PRODUCTS}, 5, {"no_content": 1}),
        ({"title": "Shop", "items": PRODUCTS}, 5, {}),
        ({product["uid"]: {**product, "sizes": [{"title": "S", "content": "small"}]} for product in PRODUCTS}, 5, {}),
        ({"shop": "Oak", "products": {product["uid"]: product for product in PRODUCTS}}, 5, {}),
    ],
)
def test_products_in_several_lists_or_under_a_key_each_are_all_read(
    whole: dict[str, object], num_kept: int, rejected: dict[str, int], tmp_path: Path
) -> None:
    for indent in (None, 1):
        (tmp_path / "a.json").write_text(json.dumps(whole, indent=indent))
        outcome = outcome_of(tmp_path / "a.json")
        assert (len(outcome.records), outcome.rejected) == (num_kept, rejected)


def test_a_list_that_begins_far_behind_the_first_is_read_too(tmp_path: Path) -> None:
    many = [{"title": f"Shoe {number}", "content": "x" * 90} for number in range(1_000)]
    (tmp_path / "a.json").write_text(json.dumps({"shoes": many, "lamps": PRODUCTS}))
    assert len(outcome_of(tmp_path / "a.json").records) == 1_005


def test_products_at_two_depths_are_refused_by_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"top": PRODUCTS[:2], "data": {"items": PRODUCTS[2:]}}))
    with pytest.raises(UserError, match=r"several places, \.data\.items\[\] and \.top\[\]: .* as jq -c"):
        outcome_of(tmp_path / "a.json")


def test_lines_with_a_comma_behind_each_object_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("".join(f"{json.dumps(product)},\n" for product in PRODUCTS))
    assert len(outcome_of(tmp_path / "a.json").records) == 5


# --- XML ------------------------------------------------------------------------------------------------------------


def product_of(name: str, number: int) -> str:
    return f"<{name}><uid>p{number}</uid><title>Tray {number}</title><content>Oak, {number} cm</content></{name}>"


@pytest.mark.parametrize(
    ("parts", "num_kept", "rejected"),
    [
        (["<shop>", product_of("book", 0), product_of("shoe", 1), product_of("book", 2), "</shop>"], 3, {}),
        (["<shop><brands>", product_of("brand", 0), "</brands><all>", product_of("tray", 1), "</all></shop>"], 2, {}),
        (["<shop>", product_of("tray", 0), "<tray><title>Alone</title></tray></shop>"], 1, {"no_content": 1}),
        (["<shop><name><title>Shop</title></name>", product_of("tray", 0), product_of("tray", 1), "</shop>"], 2, {}),
        (
            ["<shop>", *(product_of("book", each) for each in range(2_000)), product_of("lamp", 2_000), "</shop>"],
            2_001,
            {},
        ),
    ],
)
def test_products_in_elements_of_several_names_are_all_read(
    parts: list[str], num_kept: int, rejected: dict[str, int], tmp_path: Path
) -> None:
    (tmp_path / "a.xml").write_text("".join(parts))
    outcome = outcome_of(tmp_path / "a.xml")
    assert (len(outcome.records), outcome.rejected) == (num_kept, rejected)


RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>
<title>Stools</title><link>https://example.com</link><description>All our stools</description>
<item><g:id>S1</g:id><title>Oak Stool &amp; more</title><description><![CDATA[<p>Solid oak.</p>]]></description>
<g:shipping><g:country>PT</g:country><g:price>5.00 EUR</g:price></g:shipping></item>
<item><g:id>S2</g:id><g:title>Pine Stool</g:title><g:description>Painted&nbsp;pine &lt;p&gt;by hand.</g:description>
<g:shipping><g:country>PT</g:country></g:shipping><g:shipping><g:country>ES</g:country></g:shipping></item>
<item><g:id>S3</g:id><title>Ash Stool</title><description/></item>
</channel></rss>
"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>Stools</title>
<entry><g:id>S1</g:id><title type="html">Oak Stool</title><summary>Short.</summary>
<content type="xhtml"><div><p>Solid oak.</p><p>Three legs.</p></div></content></entry></feed>
"""
SHOP = """<yml_catalog date="2024"><shop><name>Shop</name><offers>
<offer id="1" in="true"><name>Oak Stool</name><description>Solid oak.</description><param name="a">3</param></offer>
<offer id="2"><name>Pine Stool</name><description>Pine.</description></offer></offers></shop></yml_catalog>
"""


@pytest.mark.parametrize("parallelism", [1, 4])
def test_items_of_an_rss_feed_are_records(parallelism: int, tmp_path: Path) -> None:
    (tmp_path / "feed.xml").write_text(RSS)
    assert outcome_of(tmp_path / "feed.xml", uid="id", content="description", parallelism=parallelism) == Outcome(
        lines=3,
        records=[("S1", "Oak Stool & more", "Solid oak."), ("S2", "Pine Stool", "Painted pine by hand.")],
        rejected={"no_content": 1},
        notes={},
    )
    found = outcome_of(tmp_path / "feed.xml", uid="g:id", content="shipping.country", parallelism=parallelism)
    assert [(uid, content) for uid, _, content in found.records] == [("S1", "PT"), ("S2", "PT ES")]


def test_entries_of_an_atom_feed_and_a_shops_own_elements_are_records(tmp_path: Path) -> None:
    (tmp_path / "feed.atom").write_text(ATOM)
    assert outcome_of(tmp_path / "feed.atom", uid="id").records == [("S1", "Oak Stool", "Solid oak. Three legs.")]
    (tmp_path / "shop.xml").write_text(SHOP)
    assert outcome_of(tmp_path / "shop.xml", uid="id", title="name", content="description").records == [
        ("1", "Oak Stool", "Solid oak."),
        ("2", "Pine Stool", "Pine."),
    ]


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "utf-16", "utf-8"])
def test_the_encoding_of_an_xml_document_is_what_it_says(encoding: str, tmp_path: Path) -> None:
    text = SHOP.replace("<yml", f'<?xml version="1.0" encoding="{encoding}"?><yml').replace(
        "Pine", "Pinheiro-bravo à mão"
    )
    (tmp_path / "shop.xml").write_bytes(text.encode(encoding))
    found = outcome_of(tmp_path / "shop.xml", uid="id", title="name", content="description")
    assert found.records[1] == ("2", "Pinheiro-bravo à mão Stool", "Pinheiro-bravo à mão.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RSS[:-30], "is no sound XML: unclosed token: line 8"),
        (RSS.replace("</item>", "", 1), "is no sound XML: mismatched tag: line"),
        (
            RSS.replace("<item>", "<item><title>Salt & pepper</title>", 1),
            "is no sound XML: .*; a text must have &amp; for &",
        ),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a><b>&b;</b></a>', "declares an entity of its own, 'b'"),
        (
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a><b>&b;</b></a>',
            "declares an entity of its own, 'b'",
        ),
        ("<a>text</a>", "is XML, but no element in its first 11 bytes holds others"),
        ("<!DOCTYPE html><html><body><p>Log in</p></body></html>", "is a web page, which is not read"),
    ],
)
def test_an_xml_document_that_cannot_be_read_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UserError, match=rf"a\.xml {message}"):
        outcome_of(tmp_path / "a.xml", content="description")


def test_an_element_that_is_too_long_costs_no_other(tmp_path: Path) -> None:
    long = f"<offer id='3'><name>a</name><description>{'b' * 5_000_000}</description></offer>"
    (tmp_path / "shop.xml").write_text(SHOP.replace("</offers>", f"{long}</offers>"))
    found = outcome_of(tmp_path / "shop.xml", uid="id", title="name", content="description")
    assert (len(found.records), found.rejected) == (2, {"too_long": 1})


# --- what is not read -----------------------------------------------------------------------------------------------


def tar(data: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        member = tarfile.TarInfo("a.json")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def zipped(*names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in names:
            archive.writestr(name, LINES[0])
    return sink.getvalue()


DATA = "\n".join(LINES).encode()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.tar", tar(DATA), r"is a tar archive, which is not read: unpack it"),
        ("a.tar.gz", gzip.compress(tar(DATA)), r"is a tar archive, which is not read: unpack it"),
        ("a.tar.xz", lzma.compress(tar(DATA)), r"is a tar archive, which is not read: unpack it"),
        ("a.xlsx", zipped("[Content_Types].xml", "xl/workbook.xml"), r"is an Excel workbook, .* save the sheet as CSV"),
        ("a.json", zipped("[Content_Types].xml", "xl/workbook.xml"), r"is an Excel workbook, .* save the sheet as CSV"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"is an Excel workbook"),
        ("a.csv", zipped("a.csv"), r"is compressed by zip, but its name does not end in \.zip; rename it"),
        ("a.json", lzma.compress(DATA), r"is compressed by xz, but its name does not end in \.xz; rename it"),
        ("a.zip", zipped("a.json", "b.json"), r"is a zip archive of 2 files, expected one: unpack it"),
        ("a.zip", zipped("a.csv"), r"holds a\.csv: unpack it, or rename it so that it ends in \.csv\.zip"),
        ("a.zip", zipped("a.parquet"), r"holds a\.parquet, which is compressed itself: unpack it"),
        ("a.json.gz", gzip.compress(bz2.compress(DATA)), r"holds a file of the kind bz2: decompress it once"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + random.randbytes(99), r"is a 7z archive, which is not read: unpack it"),
        ("a.avro", b"Obj\x01" + random.randbytes(99), r"is an Avro file, which is not read: export it"),
        ("a.json", b"<!DOCTYPE HTML><html></html>", r"is a web page, which is not read"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 10 else "",
)
def test_a_file_of_another_kind_is_named_in_one_line(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        outcome_of(tmp_path / name)
    assert "\n" not in str(caught.value)
