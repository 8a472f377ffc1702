"""Parquet columns of the types that Spark, pandas and datasets write."""

import datetime
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.errors import UserError
from tests.spark_jobs.input.outcomes import Outcome, outcome_of

TITLES = ["Oak Stool", "Pine Stool", "Ash Stool"]
CONTENTS = ["Solid oak.", "Painted pine.", "Plain ash."]
UUID = uuid.UUID(int=2**100 + 7)
DAY = datetime.datetime(2024, 1, 2, 3, 4)


def outcome(folder: Path, columns: dict[str, Any], **names: str) -> Outcome:
    table = {"uid": pa.array(["a", "b", "c"]), "title": pa.array(TITLES), "content": pa.array(CONTENTS)} | columns
    pq.write_table(
        pa.table({name: values for name, values in table.items() if values is not None}), folder / "a.parquet"
    )
    return outcome_of(folder / "a.parquet", **names)


IDS = {
    "decimals": (pa.array([Decimal("1.50"), None, Decimal("2.00")]), ["1.50", "hash", "2.00"], 0),
    "whole numbers with a gap, as pandas writes them": (pa.array([1.0, None, 3.0]), ["1", "hash", "3"], 0),
    "fractions and NaN": (pa.array([0.1, float("nan"), 2.5]), ["0.1", "hash", "2.5"], 1),
    "true and false": (pa.array([True, False, None]), ["true", "false", "hash"], 0),
    "times": (
        pa.array([DAY, None, DAY], pa.timestamp("ms")),
        ["2024-01-02 03:04:00.000", "hash", "2024-01-02 03:04:00.000"],
        0,
    ),
    "days": (pa.array([DAY.date(), None, None], pa.date32()), ["2024-01-02", "hash", "hash"], 0),
    "UUIDs": (pa.array([UUID.bytes, None, UUID.bytes], pa.uuid()), [str(UUID), "hash", str(UUID)], 0),
    "bytes": (pa.array([b"x\xe9", b"y", None]), ["hash", "y", "hash"], 1),
    "bytes of one length": (pa.array([b"xx", b"yy", None], pa.binary(2)), ["xx", "yy", "hash"], 0),
    "texts in a dictionary": (pa.array(["x", None, "x"]).dictionary_encode(), ["x", "hash", "x"], 0),
    "whole numbers in a dictionary": (pa.array([7, None, 7]).dictionary_encode(), ["7", "hash", "7"], 0),
    "large texts": (pa.array(["x", "", "NULL"], pa.large_string()), ["x", "hash", "hash"], 1),
    "views": (pa.array(["x", "y", None], pa.string_view()), ["x", "y", "hash"], 0),
    "nothing": (pa.nulls(3), ["hash"] * 3, 0),
    "lists": (pa.array([["x"], None, []]), ["hash"] * 3, 2),
    "objects": (pa.array([{"oid": "x"}, None, {"oid": "y"}]), ["hash"] * 3, 2),
    "no column": (None, ["hash"] * 3, 0),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_any_type(kind: str, tmp_path: Path) -> None:
    values, uids, num_unusable = IDS[kind]
    assert outcome(tmp_path, {"uid": values}) == Outcome(
        lines=3,
        records=list(zip(uids, TITLES, CONTENTS, strict=True)),
        rejected={},
        notes={"unusable_id": num_unusable} if num_unusable else {},
    )


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([1984, 5, 7]), ["1984", "5", "7"]),
        (pa.array([Decimal("1.50"), Decimal(2), Decimal(3)]), ["1.50", "2.00", "3.00"]),
        (pa.array([["one", "two"], ["", "three", None], ["four"]]), ["one two", "three", "four"]),
        (pa.array([["a"], ["b", "c"], ["d"]], pa.large_list(pa.large_string())), ["a", "b c", "d"]),
        (pa.array([["a", "b"]] * 3, pa.list_(pa.string(), 2)), ["a b"] * 3),
        (pa.array([[["a"], ["b"]], [["c"]], [[], ["d"]]]), ["a b", "c", "d"]),
        (pa.array([["a"], None, []]), ["a", None, None]),
        (pa.array(["N/A", "x", None]), [None, "x", None]),
    ],
)
def test_texts_of_any_type(values: pa.Array, texts: list[str | None], tmp_path: Path) -> None:
    found = outcome(tmp_path, {"content": values})
    assert [content for *_, content in found.records] == [text for text in texts if text]
    assert found.rejected.get("no_content", 0) == texts.count(None)


NESTED = {
    "product.title": pa.array(["own", "names", "win"]),
    "product": pa.array([{"title": title, "body": {"pt": text}} for title, text in zip(TITLES, CONTENTS, strict=True)]),
    "names": pa.array([[("en", "x"), ("pt", "banco")], [("pt", "y")], None], pa.map_(pa.string(), pa.string())),
    "variants": pa.array([[{"name": "small"}, {"name": "large"}], [], [{"name": "one"}]]),
}


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("product.title", ["own", "names", "win"]),
        ("product.body.pt", CONTENTS),
        ("names.pt", ["banco", "y"]),
        ("variants.name", ["small large", "one"]),
        ("variants.name,content", ["small large Solid oak.", "Painted pine.", "one Plain ash."]),
    ],
)
def test_fields_below_others(name: str, texts: list[str], tmp_path: Path) -> None:
    assert [content for *_, content in outcome(tmp_path, NESTED, content=name).records] == texts


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"content": "product.body"},
            r"no column 'product\.body'; it has .*'product\.body\.pt', 'names', 'variants\.name'",
        ),
        ({"content": "product.text"}, r"no column 'product\.text'"),
        ({"content": "content,nothing"}, r"no column 'content,nothing'"),
        ({"content": "names"}, r"column 'names' holds map<.*>, expected texts"),
        ({"content": "flag"}, r"column 'flag' holds bool, expected texts"),
    ],
)
def test_what_is_no_text_is_refused_with_the_names_that_there_are(
    names: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        outcome(tmp_path, NESTED | {"flag": pa.array([True, False, True])}, **names)


def test_a_folder_of_partitions_is_one_catalogue(tmp_path: Path) -> None:
    for category, rows in (("Books", slice(0, 2)), ("Kitchen", slice(2, 3))):
        folder = tmp_path / "out" / f"category={category}"
        folder.mkdir(parents=True)
        table = pa.table({"uid": ["1", "2", "3"][rows], "title": TITLES[rows], "content": CONTENTS[rows]})
        pq.write_table(table, folder / "part-00000-c000.snappy.parquet")
        (folder / ".part-00000-c000.snappy.parquet.crc").write_bytes(b"crc")
    (tmp_path / "out" / "_SUCCESS").touch()
    assert outcome_of(tmp_path / "out").records == list(zip("123", TITLES, CONTENTS, strict=True))
