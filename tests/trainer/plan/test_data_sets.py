"""The data sets that a run is told to learn: folders, weights, and what is refused."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from contract.errors import UserError
from contract.manifest import publish, read_manifest
from tests.conftest import made_up_pairs, write_data_set
from trainer.config import TrainConfig, parse_data
from trainer.plan.data_sets import DataSet, first_rows, open_data
from trainer.plan.order import rows_of_epoch


@pytest.mark.parametrize(
    ("text", "root", "weight"),
    [
        ("data", "data", "1"),
        ("data:0.7", "data", "0.7"),
        ("data:3", "data", "3"),
        ("data:.5", "data", "0.5"),
        ("s3://bucket/data:2.5", "s3://bucket/data", "2.5"),
        ("s3://host:9000/x", "s3://host:9000/x", "1"),
        ("hdfs://host:8020/x:0.25", "hdfs://host:8020/x", "0.25"),
        ("hdfs://host:8020", "hdfs://host:8020", "1"),
        ("s3://bucket:0.3", "s3://bucket", "0.3"),
        (r"C:\data", r"C:\data", "1"),
        (r"C:\data:0.3", r"C:\data", "0.3"),
        (r"C:\data:3\x", r"C:\data:3\x", "1"),
        ("data:3/", "data:3/", "1"),
        ("s3://bucket/10:30/", "s3://bucket/10:30/", "1"),
    ],
)
def test_a_weight_is_told_from_the_colons_of_a_path(text: str, root: str, weight: str) -> None:
    assert parse_data(text) == (root, Fraction(weight))


@pytest.mark.parametrize("weight", ["0", "0.0", "x", "nan", "inf", "-1", "", "1e3", ".5.5", "1:x"])
@pytest.mark.parametrize("root", ["b", "s3://bucket/b", r"C:\b"])
def test_a_weight_that_is_no_positive_number_is_refused(root: str, weight: str) -> None:
    with pytest.raises(UserError, match=r"data = '.*': the weight of .*b(:1)? must be a positive number") as raised:
        TrainConfig(data=("a:1", f"{root}:{weight}"), run="r")
    assert f"found {weight.rpartition(':')[2]!r}" in str(raised.value)


@pytest.mark.parametrize("name", ["a:b", "2026-11-22T10:30", "toys:-1", "toys:3"])
def test_a_folder_that_is_there_may_have_a_colon_in_its_name(
    prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(prepared.root, name)

    (data,) = open_data([name])
    assert (data.root, data.weight) == (name, 1)
    (weighted,) = open_data([f"{name}:0.5"])
    assert (weighted.root, weighted.weight) == (name, Fraction(1, 2))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"weight": float("nan")}, "weight = nan, expected a positive Fraction"),
        ({"weight": 0.5}, "weight = 0.5, expected a positive Fraction"),
        ({"weight": Fraction(-1, 2)}, "weight = Fraction(-1, 2), expected a positive"),
        ({"weight": 0, "limit": 0}, "weight = 0, expected a positive Fraction; limit = 0, expected None or an"),
        ({"limit": -3}, "limit = -3, expected None or an integer of at least 1"),
        ({"limit": 2.0}, "limit = 2.0, expected None or an integer"),
        ({"split": "tain"}, "no split 'tain' in this data set; it has"),
    ],
)
def test_a_data_set_of_impossible_values_is_refused(prepared, values: dict, told: str) -> None:
    with pytest.raises(UserError) as raised:
        DataSet(prepared.root, prepared.manifest, **values)
    assert told in str(raised.value)


@pytest.mark.parametrize(("weights", "expected"), [((0.7, 0.3), [20, 8]), ((1, 1), [20, 20]), ((1, 9), [20, 180])])
def test_an_epoch_takes_as_many_of_each_as_the_weights_say(prepared, other_prepared, weights, expected) -> None:
    data = open_data([f"{other_prepared.root}:{weights[0]}", f"{prepared.root}:{weights[1]}"])

    assert rows_of_epoch([each.rows for each in data]) == expected
    assert first_rows(data) == [0, 20]
    assert rows_of_epoch([each.rows for each in open_data([prepared.root, other_prepared.root], limit=7)]) == [7, 7]


def test_what_cannot_be_trained_is_refused(prepared, other_prepared, tmp_path: Path) -> None:
    copy, natural, empty = (str(tmp_path / name) for name in ("copy", "natural", "empty"))
    shutil.copytree(prepared.root, copy)
    write_data_set(Path(natural), made_up_pairs(5))
    publish(natural, replace(read_manifest(natural), text_profile="natural"), replace=True)
    write_data_set(Path(empty), [], val=made_up_pairs(5))
    for texts, message in (
        ([prepared.root, f"{copy}:0.5"], f"data: {copy} holds the same data set as another folder that was named"),
        ([prepared.root, natural], f"{natural} was cleaned by profile 'natural', {prepared.root} by 'seed'"),
        ([prepared.root, empty], f"the train split of {empty} is empty"),
        ([prepared.root, str(tmp_path)], f"no manifest.json in {tmp_path}"),
        ([], "data: expected at least one folder"),
        (
            [f"{prepared.root}:1000", f"{other_prepared.root}:0.001"],
            f"with these weights an epoch takes no record of {other_prepared.root}; raise",
        ),
    ):
        with pytest.raises(UserError) as raised:
            open_data(texts)
        assert message in str(raised.value)
