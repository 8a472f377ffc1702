"""Values of any type become the texts that the owner of a catalogue sees in them."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from spark_jobs.input.records.values import NotATextError, fields_in, read_id, read_text, without_no_values
from tests.spark_jobs.input.outcomes import Outcome, outcome_of

AMAZON = """\
{"asin": "X1", "title": "Oak Stool", "description": ["Solid oak, three legs.", "Oiled by hand."], "feature": ["45 cm"]}
{"asin": "X2", "title": "Pine Stool", "description": [], "feature": ["40 cm high"]}
{"asin": "X3", "title": "Ash Stool", "description": [""]}
{"asin": "X4", "title": "Elm Stool", "description": "Plain text description of an elm stool."}
"""


def outcome(text: str, folder: Path, **names: str) -> Outcome:
    (folder / "a.json").write_text(text)
    return outcome_of(folder / "a.json", **names)


def test_texts_of_a_list_are_joined(tmp_path: Path) -> None:
    found = outcome(AMAZON, tmp_path, content="description", uid="asin")
    assert found == Outcome(
        lines=4,
        records=[
            ("X1", "Oak Stool", "Solid oak, three legs. Oiled by hand."),
            ("X4", "Elm Stool", "Plain text description of an elm stool."),
        ],
        rejected={"no_content": 2},
        notes={},
    )


def test_several_fields_make_one_text(tmp_path: Path) -> None:
    found = outcome(AMAZON, tmp_path, content="feature, description", uid="asin")
    assert [content for *_, content in found.records] == [
        "45 cm Solid oak, three legs. Oiled by hand.",
        "40 cm high",
        "Plain text description of an elm stool.",
    ]
    assert found.rejected == {"no_content": 1}


def test_a_number_that_is_no_json_costs_no_record(tmp_path: Path) -> None:
    lines = [
        '{"uid":"a","title":"Oak Stool","content":"Solid oak.","price":NaN}',
        '{"uid":"b","title":"Pine Stool","content":"Painted pine.","rank":Infinity}',
        '{"uid":"c","title":"Ash Stool","content":NaN,"price":1}',
        '{"uid":"d","title":"Elm Stool","content":"Turned elm.","price":null}',
        '{"uid":NaN,"title":"Fir Stool","content":["Nailed",-Infinity,"fir."],"price":[NaN]}',
    ]
    assert outcome("\n".join(lines), tmp_path) == Outcome(
        lines=5,
        records=[
            ("a", "Oak Stool", "Solid oak."),
            ("b", "Pine Stool", "Painted pine."),
            ("d", "Elm Stool", "Turned elm."),
            ("hash", "Fir Stool", "Nailed fir."),
        ],
        rejected={"no_content": 1},
        notes={},
    )


def test_json_values_of_any_type(tmp_path: Path) -> None:
    lines = [
        '{"uid":12345678901234567890123,"title":"Big Id","content":"A big id."}',
        '{"uid":1.10,"title":"Float Id","content":"A float id."}',
        '{"uid":true,"title":"Bool Id","content":"A bool id."}',
        '{"uid":{"$oid":"5f"},"title":"Mongo Id","content":"An object id."}',
        '{"uid":["a"],"title":"List Id","content":"A list id."}',
        '{"uid":"NULL","title":"Null Id","content":"A word for none."}',
        '{"uid":"n1","title":1984,"content":"A novel."}',
        '{"uid":"n2","title":"Number content","content":42.50}',
        '{"uid":"n7","title":"Nested","content":{"en":"English text","pt":"Texto"}}',
        '{"uid":"n8","title":["One","title"],"content":"text"}',
        '{"uid":"n9","title":false,"content":"text"}',
        '{"uid":"n10","title":"N/A","content":"text"}',
        '{"uid":"n11","title":"None of these","content":"NaN is not a number"}',
    ]
    assert outcome("\n".join(lines), tmp_path) == Outcome(
        lines=13,
        records=[
            ("12345678901234567890123", "Big Id", "A big id."),
            ("1.10", "Float Id", "A float id."),
            ("true", "Bool Id", "A bool id."),
            ("hash", "Mongo Id", "An object id."),
            ("hash", "List Id", "A list id."),
            ("hash", "Null Id", "A word for none."),
            ("n1", "1984", "A novel."),
            ("n2", "Number content", "42.50"),
            ("n8", "One title", "text"),
            ("n11", "None of these", "NaN is not a number"),
        ],
        rejected={"not_a_record": 1, "no_title": 2},
        notes={"no_value": 1, "unusable_id": 3, "object_text": 1},
    )


NESTED = {
    "id": {"$oid": "5f"},
    "attributes": {"name": "Oak Stool", "body": "Solid oak."},
    "name": {"en": "Stool", "pt": "Banco"},
    "variants": [{"name": "small"}, {"sku": 2}, {"name": "large"}],
    "a.b": "own name",
    "a": {"b": "below", "c.d": "dot below"},
    "x,y": "comma",
    "x": 1,
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("attributes.name", "Oak Stool"),
        ("name.pt", "Banco"),
        ("name.fr", None),
        ("name.pt.more", None),
        ("variants.name", "small large"),
        ("a.b", "own name"),
        ("a.c.d", "dot below"),
        ("x,y", "comma"),
        ("x,name.en", "1 Stool"),
        ("nothing", None),
        ("nothing,x", "1"),
        ("id.$oid", "5f"),
    ],
)
def test_a_name_leads_to_a_text(name: str, text: str | None, tmp_path: Path) -> None:
    assert read_text(NESTED, name) == text
    # The same on both ways of the reader: a number with a point takes the careful one.
    for more in ({}, {"name": NESTED["name"] | {"price": 1.5}}):
        found = outcome(json.dumps(NESTED | more), tmp_path, title=name, content="attributes.body", uid="x")
        assert found.records == ([("1", text, "Solid oak.")] if text else [])


def test_an_object_is_no_text_and_no_id() -> None:
    for name in ("name", "variants", "x,name"):
        with pytest.raises(NotATextError):
            read_text(NESTED, name)
    for name in ("id", "variants.name"):
        with pytest.raises(NotATextError):
            read_id(NESTED, name)
    assert read_id(NESTED, "x,a.b") == "1 own name"


def test_fields_have_commas_between_them() -> None:
    assert fields_in(" a , b.c,,d e ") == ["a", "b.c", "d e"]


def test_a_line_that_python_printed_is_read_and_counted(tmp_path: Path) -> None:
    products = [
        {
            "asin": "X1",
            "title": "Children's Oak Stool",
            "description": "Solid oak.",
            "price": 12.5,
            "related": {"a": []},
        },
        {"asin": "X2", "title": 'A "white" stool', "description": "It\\'s pine, Ärmel \n", "salesRank": None},
        {"asin": 3, "title": "Ash Stool", "description": ["Plain", "ash."], "sold": True},
    ]
    found = outcome("\n".join(map(repr, products)), tmp_path, content="description", uid="asin")
    assert [uid for uid, *_ in found.records] == ["X1", "X2", "3"]
    assert found.records[0][1:] == ("Children's Oak Stool", "Solid oak.")
    assert (found.rejected, found.notes) == ({}, {"python_line": 3, "escapes": 1})


@pytest.mark.parametrize(
    "text", ["{'title': open('x')}", "{'a': 1} {'b': 2}", "{'a': [" + "(" * 5_000, "{'a'}", "{'a': '\0'}"]
)
def test_what_python_does_not_print_is_no_record(text: str, tmp_path: Path) -> None:
    assert outcome(text + '\n{"title": "a", "content": "b"}', tmp_path).lines == 2
    assert set(outcome(text + '\n{"title": "a", "content": "b"}', tmp_path).rejected) <= {"not_json", "not_a_record"}


def test_texts_and_objects_with_languages_are_read_side_by_side(tmp_path: Path) -> None:
    lines = [
        {"uid": 1, "title": "Mug", "content": "Blue."},
        {"uid": 2, "title": {"en": "Cup", "pt": "Xícara"}, "content": {"en": "Red."}},
    ]
    text = "\n".join(map(json.dumps, lines))
    plain = outcome(text, tmp_path)
    assert (plain.rejected, plain.notes) == ({"not_a_record": 1}, {"object_text": 1})
    found = outcome(text, tmp_path, title="title,title.pt", content="content,content.en")
    assert found.records == [("1", "Mug", "Blue."), ("2", "Xícara", "Red.")]


def test_lists_in_lists_are_joined(tmp_path: Path) -> None:
    line = {"uid": "1", "title": [["Oak"], ["Stool", ["XL"]]], "content": [[["Solid"], "oak."], [], None]}
    assert outcome(json.dumps(line), tmp_path).records == [("1", "Oak Stool XL", "Solid oak.")]


def test_a_field_that_an_object_names_twice_is_counted(tmp_path: Path) -> None:
    lines = [
        '{"uid": "1", "title": "Old", "title": "New", "content": "a"}',
        '{"uid": "2", "title": "Mug", "content": "\\"title\\" and \\"title\\"", "more": [{"title": "x"}]}',
        '{"uid": "3", "title": "Cup", "content": "b", "price": 1, "price": 2}',
    ]
    found = outcome("\n".join(lines), tmp_path)
    assert [title for _, title, _ in found.records] == ["New", "Mug", "Cup"]
    assert (found.rejected, {**found.notes, "escapes": 0}) == ({}, {"repeated_field": 1, "escapes": 0})


def test_escapes_that_a_dump_wrote_twice_are_undone_and_counted(tmp_path: Path) -> None:
    lines = [
        {"uid": "1", "title": r"Mom\'s Mug", "content": r"Soft\nWashable"},
        {"uid": "2", "title": "Cap", "content": r"a path C:\new, a \ and <br>"},
    ]
    found = outcome("\n".join(map(json.dumps, lines)), tmp_path)
    assert found.records == [("1", "Mom's Mug", "Soft Washable"), ("2", "Cap", "a path C: new, a and")]
    assert found.notes == {"escapes": 2}


def test_lines_in_cp1252_are_named_and_read_when_asked_for(tmp_path: Path) -> None:
    lines = '{"title": "Caf\u00e9 da manhã", "content": "Pão, 5 €"}\n{"title": "A", "content": "b"}\n'
    (tmp_path / "a.json").write_bytes(lines.encode("cp1252"))
    found = outcome_of(tmp_path / "a.json")
    assert (found.rejected, found.notes, len(found.records)) == ({"not_utf8": 1}, {"cp1252": 1}, 1)
    asked = outcome_of(tmp_path / "a.json", encoding="cp1252")
    assert [title for _, title, _ in asked.records] == ["Café da manhã", "A"]


def test_words_for_nothing_are_found_whatever_their_place_in_a_slice() -> None:
    texts = pa.array(["x", r"\N", None, " n/a ", "", "Nothing", "NULLs", "x" * 100]).slice(1)
    found, count = without_no_values(texts)
    assert (found.to_pylist(), count) == ([None, None, None, "", "Nothing", "NULLs", "x" * 100], 2)
    assert without_no_values(texts.slice(4)) == (texts.slice(4), 0)
