"""One Spark for all tests of this folder, started when the first one asks for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from contract.manifest import Manifest, read_manifest
from spark_jobs.config import PrepareConfig
from spark_jobs.input import parts
from spark_jobs.prepare import prepare
from spark_jobs.session.session import open_session
from tests.spark_jobs.catalogues import check_files

Prepare = Callable[..., Manifest]


class SparkHolder:
    """The session that `prepare` will find running; another master replaces it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._master = ""

    def get(self, master: str) -> SparkSession:
        if master != self._master:
            self._stack.close()
            session = self._stack.enter_context(open_session(master, is_compiled=True))
            self._master = master
            return session
        return SparkSession.active()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def spark_holder() -> Iterator[SparkHolder]:
    holder = SparkHolder()
    yield holder
    holder.close()


@pytest.fixture
def run(spark_holder: SparkHolder, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """`prepare` with these settings on a running Spark, of two cores if not told otherwise.

    It cleans by compiled code, where there is some, as it does with inputs that are larger than those of tests.
    """
    monkeypatch.setattr(parts, "SMALL_BYTES", -1)

    def run_prepare(input: Path, output: Path, *, master: str = "local[2]", **settings: object) -> Manifest:
        spark_holder.get(master)
        settings = {"val_share": 0.1, "test_share": 0.1, "shard_rows": 10} | settings
        manifest = prepare(PrepareConfig(input=str(input), output=str(output), master=master, **settings))  # type: ignore[arg-type]
        assert read_manifest(str(output)) == manifest
        check_files(output, manifest)
        return manifest

    return run_prepare
