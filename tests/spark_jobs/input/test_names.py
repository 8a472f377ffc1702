"""What is said where a catalogue calls its fields otherwise."""

import json
from pathlib import Path

import pytest

from spark_jobs.input.fields import FieldNames, ReadOptions
from spark_jobs.input.readers import field_names_of
from spark_jobs.input.records.names import advice_on_names, advice_on_objects
from spark_jobs.input.source import list_sources

NAMES = FieldNames(uid="uid", title="title", content="content")
OPTIONS = ReadOptions(NAMES, max_line_bytes=10**6)


@pytest.mark.parametrize(
    ("found", "names", "advice"),
    [
        (["asin", "title", "description"], NAMES, "--title-field title --content-field description --id-field asin"),
        (
            ["uniq_id", "product_name", "description"],
            NAMES,
            "product_name --content-field description --id-field uniq_id",
        ),
        (
            ["Código", "Nome do produto", "Descrição"],
            NAMES,
            "--title-field 'Nome do produto' --content-field 'Descrição'",
        ),
        (["id", "name.en", "name.pt", "description.pt"], NAMES, "name.en --content-field description.pt"),
        (
            ["Handle", "Title", "Body (HTML)"],
            NAMES,
            "--title-field Title --content-field 'Body (HTML)' --id-field Handle",
        ),
        (["uid", "name", "content"], NAMES, "--title-field name --content-field content"),
        (
            ["objectID", "x.y.title", "Body (HTML)"],
            NAMES,
            "x.y.title --content-field 'Body (HTML)' --id-field objectID",
        ),
        (["sku", "price"], NAMES, ": name the right ones by --title-field and --content-field"),
        (["name"], NAMES._replace(content="name"), "--title-field and --content-field"),
    ],
)
def test_a_command_is_proposed_from_the_names_that_there_are(found: list[str], names: FieldNames, advice: str) -> None:
    text = advice_on_names(found, **names._asdict())
    assert text.startswith("it has " + ", ".join(map(repr, found)))
    assert text.endswith(advice) or f"{advice} --id-field" in text


def test_many_names_are_cut() -> None:
    text = advice_on_names([f"field{number}" for number in range(1_000)], **NAMES._asdict())
    assert "'field29', …" in text
    assert "field30" not in text


RECORD = {"id": 1, "name": {"en": "a", "pt": "b"}, "sizes": [{"cm": 3}, {"in": 1}], "tags": ["x"], "empty": {}}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORD) + "\n" + json.dumps({"x": NAMES.uid}) + "\nnot JSON\n",
        json.dumps([RECORD, {"x": 1}], indent=1),
        json.dumps([RECORD, {"x": 1}])[:-4],
        json.dumps({"found": 1, "products": [RECORD, {"x": 1}]}),
        repr(RECORD) + "\n" + repr({"x": 1}) + "\n",
    ],
)
def test_the_names_in_the_first_records_are_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    (source,) = list_sources(str(tmp_path / "a.json"))
    found = field_names_of(source, options=OPTIONS)
    assert found[:6] == ["id", "name.en", "name.pt", "sizes.cm", "sizes.in", "tags"]
    assert found[6:] in (["empty", "x"], ["empty"])


def test_the_names_in_a_feed_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<shop><p id='1'><g:n xmlns:g='x'>a</g:n><d><e>b</e></d></p><p id='2'/></shop>")
    (source,) = list_sources(str(tmp_path / "a.xml"))
    assert field_names_of(source, options=OPTIONS) == ["id", "g:n", "d.e", "d", "n"]


def test_the_text_of_a_list_of_languages_is_advised() -> None:
    found = ["id", "title.language_tag", "title.value", "content"]
    advice = advice_on_objects(found, title="title", content="content")
    assert advice == "title may be an object with title.value, title.language_tag: try --title-field title.value"
