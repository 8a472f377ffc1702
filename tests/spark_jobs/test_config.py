"""Settings are checked before anything starts, all at once."""

import dataclasses

import pytest

from command.settings import settings_of_result
from contract.errors import UserError
from spark_jobs.config import PrepareConfig


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UserError) as caught:
        PrepareConfig(input="", output="o", text_profile="sed", val_share=0.6, test_share=0.5, seed=-1, shard_rows=0)
    for part in ("input = ''", "did you mean 'seed'", "expected a sum below 1", "seed = -1", "shard_rows = 0"):
        assert part in str(caught.value)


def test_limits_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UserError, match=r"min_content_chars = 500, expected at most max_content_chars = 20"):
        PrepareConfig(input="i", output="o", min_content_chars=500, max_content_chars=20)
    assert PrepareConfig(input="i", output="o", min_title_chars=5, max_title_chars=5).filters().max_title_chars == 5
    with pytest.raises(UserError, match=r"partitions = 99999999, expected at least 1 and at most 100,000"):
        PrepareConfig(input="i", output="o", partitions=99_999_999)


def test_only_settings_that_change_the_data_are_told_in_the_manifest() -> None:
    one = PrepareConfig(input="s3://key:secret@bucket/a", output="o", master="local[1]", partitions=3, overwrite=True)
    other = PrepareConfig(input="b", output="p")
    assert settings_of_result(one) == settings_of_result(other)
    settings = {field.name for field in dataclasses.fields(PrepareConfig)}
    of_the_way = {"input", "output", "overwrite", "master", "conf", "environment", "partitions", "tokenizer"}
    of_the_way |= {"max_unreadable", "append"}
    assert settings - set(settings_of_result(one)) == of_the_way


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"conf": ("executor.memory=2g",)}, r"settings of Spark's own, as in spark\.executor\.memory=4g"),
        ({"conf": ("spark.executor.memory",)}, "settings of Spark's own"),
        (
            {"conf": ("spark.hadoop.fs.s3a.secret.key=hidden",)},
            r"conf spark\.hadoop\.fs\.s3a\.secret\.key would be shown",
        ),
        ({"environment": "packages.tar.gz"}, "none on this machine"),
    ],
)
def test_settings_of_a_cluster_that_cannot_be_meant_are_refused(settings: dict, expected: str) -> None:
    with pytest.raises(UserError, match=expected) as told:
        PrepareConfig(input="i", output="o", **settings)
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize("master", ["local[x]", "local[0]", "local[]", "foo", "", "spark://", "spark://host", "k8s://"])
def test_a_master_that_spark_does_not_know_is_refused(master: str) -> None:
    with pytest.raises(UserError, match=r"expected local, local\[N\]"):
        PrepareConfig(input="i", output="o", master=master)


@pytest.mark.parametrize(
    "master",
    [
        "local",
        "local[*]",
        "local[12]",
        "local[2,4]",
        "local[*,4]",
        "local-cluster[2,1,1024]",
        "spark://a:7077,b:7077",
        "yarn",
        "k8s://https://host:443",
    ],
)
def test_the_masters_of_spark_pass(master: str) -> None:
    assert PrepareConfig(input="i", output="o", master=master).master == master
