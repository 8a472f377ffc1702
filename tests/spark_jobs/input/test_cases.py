"""Small inputs in the shape of files that people reported, each as its owner sees it. Tables are in delimited/."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from contract.errors import UserError
from tests.spark_jobs.input.outcomes import Outcome, outcome_of

CASES = Path(__file__).parent / "cases"
AMAZON = {"content": "description", "uid": "asin"}


class Case(NamedTuple):
    """What is in a file: the records in order, the lines rejected by reason, and what is noted."""

    path: str
    records: list[tuple[str, str, str]]
    rejected: dict[str, int]
    names: dict[str, str]
    notes: dict[str, int]


def case(path: str, records: Any, rejected: Any = None, names: Any = None, notes: Any = None) -> Case:
    return Case(path, list(records), rejected or {}, names or {}, notes or {})


def kettles(*numbers: int, text: str = "A kettle number {} that boils one litre in four minutes.") -> list[Any]:
    return [(f"u{number}", f"Plain Kettle {number}", text.format(number)) for number in numbers]


FAST = "A kettle number {} that boils one litre, fast."
BOILS = "A kettle number {} that boils."
STOOLS = [
    ("1", "Oak Stool", "Solid oak, three legs."),
    ("2", "Pine Stool", "Painted pine."),
    ("3", "Ash Stool", "Plain ash."),
]


def with_ids(*uids: str) -> list[tuple[str, str, str]]:
    return [(uid, title, content) for uid, (_, title, content) in zip(uids, STOOLS, strict=True)]


FOUND = [
    case(
        "01-list-description/meta.json",
        [
            ("X1", "Oak Stool", "Solid oak, three legs. Oiled by hand."),
            ("X4", "Elm Stool", "Plain text description of an elm stool."),
        ],
        {"no_content": 2},
        AMAZON,
    ),
    case(
        "02-python-dict-lines/meta.json",
        [("X1", "Children's Oak Stool", "Solid oak, three legs."), ("X2", "Pine Stool", 'Painted "white" pine.')],
        names=AMAZON,
        notes={"python_line": 2},
    ),
    *(case(f"03-json-array/{name}.json", kettles(0, 1, 2)) for name in ("commas", "compact", "concat", "pretty")),
    case(
        "04-nan/nan.json",
        [
            ("a", "Oak Stool", "Solid oak, three legs."),
            ("b", "Pine Stool", "Painted pine."),
            ("d", "Elm Stool", "Turned elm."),
        ],
        {"no_content": 1},
    ),
    case("10-encodings/bom.json", kettles(1, 2)),
    case("12-compression/cat.json.xz", kettles(1)),
    case("12-compression/cat.zip", kettles(1, 2)),
    case("12-compression/empty-member.json.gz", kettles(1, 2)),
    case("12-compression/frames.json.zst", kettles(0, 1, 2, text=BOILS)),
    case("12-compression/jsonl.bz2", kettles(1, 2)),
    case("12-compression/multi.json.gz", kettles(1, 2, 3)),
    case("12-compression/skippable.json.zst", kettles(0, 1, 2, text=BOILS)),
    case("12-compression/zeros.json.gz", kettles(1, 2)),
    case("13-spark-output/json", kettles(0, 1, 2, 3, 4, 5, text=FAST)),
    case("13-spark-output/parquet", kettles(0, 1, 2, 3, 4, 5, text=FAST)),
    case("13-spark-output/by", kettles(0, 2, 4, 1, 3, 5, text=FAST)),
    case(
        "14-json-types/types.json",
        [
            ("12345678901234567890123", "Big Id", "A big id."),
            ("1.0", "Float Id", "A float id."),
            ("true", "Bool Id", "A bool id."),
            ("hash", "Mongo Id", "An object id."),
            ("hash", "List Id", "A list id."),
            ("n1", "1984", "A novel by an Englishman."),
            ("n2", "Number content", "42"),
            ("n3", "Dup keys second", "second"),
            ("n4", "Lone surrogate", "Half of one."),
            ("n9", "Spaces around", "text"),
            ("n10", "Indented", "text of indented"),
            ("n11", "CRLF", "text of crlf"),
            ("n13", "NUL in", "a b"),
            ("n14", "Newline in title", "line one line two * bullet"),
            ("n15", "x", "y"),
        ],
        # Not JSON: a raw tab in a string, a comma too many, an empty line. Two objects in place of texts.
        {"not_json": 3, "not_a_record": 2, "no_title": 1},
        notes={"unusable_id": 2, "object_text": 2, "repeated_field": 1},
    ),
    case(
        "15-nested/nested.json",
        [("1", "Oak Stool", "Solid oak.")],
        names={"title": "attributes.name", "content": "attributes.body", "uid": "id"},
    ),
    case("16-parquet/badutf.parquet", [("2", "Pine", "Painted pine."), ("3", "Ash", "Plain ash.")], {"not_utf8": 1}),
    case("16-parquet/boolid.parquet", with_ids("true", "false", "hash")),
    case("16-parquet/decimal.parquet", STOOLS),
    case("16-parquet/dict.parquet", STOOLS),
    case("16-parquet/dictnull.parquet", [("1", "Oak Stool", "a b"), ("3", "Ash Stool", "c d")], {"no_content": 1}),
    case("16-parquet/dotted.parquet", STOOLS, names={"title": "product.title", "content": "product.content"}),
    case("16-parquet/empty.parquet", []),
    case("16-parquet/floatid.parquet", with_ids("1", "2", "hash")),
    case("16-parquet/large.parquet", STOOLS),
    case("16-parquet/list.parquet", STOOLS),
    case("16-parquet/nullcol.parquet", with_ids("hash", "hash", "hash")),
    case("16-parquet/nulluid.parquet", with_ids("hash", "hash", "3")),
    case("16-parquet/struct.parquet", STOOLS, names={"content": "content.en"}),
    case("16-parquet/view.parquet", STOOLS),
    case("23-mixed-folder/*.jsonl", [("1", "Oak Stool", "Solid oak.")]),
    case(
        "25-bom-inside/cat.json",
        [
            ("1", "Oak Stool", "Solid oak."),
            ("2", "Pine Stool", "Painted pine.... New."),
            ("3", "Ash Stool", "Plain ash."),
        ],
        {"not_json": 1},  # an empty line
    ),
    case("25-bom-inside/cr.json", [("1", "Oak Stool", "Solid oak."), ("2", "Pine Stool", "Painted.")]),
]


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case.path)
@pytest.mark.parametrize("parallelism", [1, 4])
def test_a_file_holds_what_its_owner_sees(case: Case, parallelism: int) -> None:
    lines = len(case.records) + sum(case.rejected.values())
    expected = Outcome(lines=lines, records=case.records, rejected=case.rejected, notes=case.notes)
    assert outcome_of(CASES / case.path, parallelism=parallelism, **case.names) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("12-compression/cut.json.gz", r"cut\.json\.gz is not a whole gzip file: .*fetch or compress it again"),
        ("12-compression/garbage.json.gz", r"garbage\.json\.gz is not a whole gzip file"),
        ("16-parquet/struct.parquet", r"it has 'uid', 'title', 'content\.en', 'content\.pt': try .* content\.en"),
        (
            "23-mixed-folder",
            r"prices\.csv has no column .*: try --title-field name .* or leave this file out of --input",
        ),
    ],
)
def test_a_file_that_is_refused_is_named_with_what_to_do(path: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        outcome_of(CASES / path)
