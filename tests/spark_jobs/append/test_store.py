"""Lines added to a data set in an object store, without Spark: the same as on a disk, and little is read."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from contract.manifest import Manifest, read_manifest
from contract.verify.data_set import verify
from spark_jobs.config import load_prepare
from spark_jobs.prepare import prepare
from tests.spark_jobs import nasty
from tests.spark_jobs.catalogues import catalogue, write
from tests.spark_jobs.conftest import Prepare
from tests.trainer.shards.faulty_s3 import BUCKET, FaultyS3, forget_stores, only, rates, serve

pytestmark = pytest.mark.spark


@pytest.fixture(name="store", scope="module")
def _store() -> Iterator[FaultyS3]:
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"), ("ENDPOINT_URL", server.url)):
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        forget_stores()
        yield server
        forget_stores()


def append(new: Path, output: str) -> Manifest:
    return prepare(load_prepare(file=None, overrides={"append": str(new), "output": output}))


@pytest.mark.parametrize("share_of_faults", [0.0, 0.2])
def test_an_append_in_a_store_is_that_on_a_disk(
    run: Prepare, tmp_path: Path, store: FaultyS3, share_of_faults: float
) -> None:
    run(write(tmp_path / "old.json", catalogue(3_000)), tmp_path / "out", shard_rows=500)
    store.begin(only())
    fsspec.filesystem("s3").put(f"{tmp_path}/out/", f"{BUCKET}/data-{share_of_faults}/", recursive=True)
    old = read_manifest(str(tmp_path / "out"))
    new = [nasty.line(uid="n", title=f"New mug {number}", content="Holds tea") for number in range(5)]
    source = write(tmp_path / "new.json", catalogue(20) + new)
    expected = append(source, str(tmp_path / "out"))

    fault = rates(1, status_503=share_of_faults)
    # A command's first requests, for the manifest and for leave to write, are made three times only.
    store.begin(lambda number, path: fault(number, path) if path.endswith(".parquet") else None)
    output = f"s3://{BUCKET}/data-{share_of_faults}"
    found = append(source, output)
    assert (found.dataset_id, found.rows, found.appended) == (expected.dataset_id, expected.rows, expected.appended)
    assert bool(store.count("503")) == bool(share_of_faults)
    full = [shard.path for shard in old.splits["train"][:-1]]
    asked = [request for request in store.requests if request.method == "GET" and request.path.endswith(tuple(full))]
    assert asked
    assert all(request.range for request in asked), "a shard that is full was read as a whole"
    assert not [request for request in store.requests if request.method == "PUT" and request.path.endswith(tuple(full))]
    report = verify(output)
    assert (report.is_sound, report.notes) == (True, []), report.findings
    assert append(source, output) == found
