"""Lines added to a data set in an object store: the same as on a disk, here and over a cluster."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from contract import storage
from contract.columns import SPLITS
from contract.manifest import Manifest, read_manifest
from contract.names import CARD_JSON
from contract.verify.data_set import verify
from tests.cluster.conftest import NUM_LINES, SETTINGS
from tests.cluster.standalone import Cluster, bare_python, submit
from tests.cluster.store import BUCKET, Store
from tests.spark_jobs.catalogues import catalogue, write

pytestmark = pytest.mark.s3

NEW_LINES = 600  # half of them repeat old records


@pytest.fixture(name="new", scope="module")
def _new(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines on this machine, and in the store as raw/new.json."""
    lines = catalogue(NUM_LINES + NEW_LINES // 2)[-NEW_LINES:]
    path = write(tmp_path_factory.mktemp("new") / "new.json", lines)
    store.client().put(str(path), f"{BUCKET}/raw/new.json")
    return path


@pytest.fixture(name="appended", scope="module")
def _appended(source: Path, new: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """What this machine makes of all, from disk to disk."""
    folder = tmp_path_factory.mktemp("appended")
    prepare(["--input", str(source), "--output", str(folder / "out"), *SETTINGS], folder)
    prepare(["--append", str(new), "--output", str(folder / "out")], folder)
    return read_manifest(str(folder / "out"))


def prepare(
    arguments: Sequence[str], folder: Path, *, store: Store | None = None, cluster: Cluster | None = None
) -> list[str]:
    """Runs `vitrine prepare`, which must succeed; what it said."""
    environment = store.environment() if store else {}
    where = ["--on", "local[2]"]
    if cluster:
        where = ["--on", cluster.master, "--conf=spark.executor.memory=1g", *bare_python()]
    address = cluster.network.address if cluster else ""
    with submit([*arguments, *where], folder / "log", environment=environment, address=address) as job:
        assert job.wait() == 0, job.said()
        return job.said()


@pytest.mark.usefixtures("as_owner")
def test_an_append_in_a_store_is_that_on_a_disk(store: Store, appended: Manifest, tmp_path: Path) -> None:
    output = f"s3://{BUCKET}/appended"
    prepare(["--input", f"s3://{BUCKET}/raw/in.json", "--output", output, *SETTINGS], tmp_path, store=store)
    old = read_manifest(output)
    prepare(["--append", f"s3://{BUCKET}/raw/new.json", "--output", output], tmp_path, store=store)
    found = read_manifest(output)
    assert (found.dataset_id, found.rows, found.appended) == (appended.dataset_id, appended.rows, appended.appended)
    assert json.loads(storage.read_bytes(storage.join(output, CARD_JSON)))["lines"] == NUM_LINES + NEW_LINES
    kept = {shard.path for split in SPLITS for shard in old.splits[split]} & set(found.files())
    assert len(kept) >= 10
    report = verify(output)
    assert report.is_sound, report.findings
    assert not report.notes
    said = prepare(["--append", f"s3://{BUCKET}/raw/new.json", "--output", output], tmp_path, store=store)
    assert "nothing to do" in said[-1]


@pytest.mark.cluster
@pytest.mark.usefixtures("as_owner")
def test_an_append_over_a_cluster_is_that_of_one_machine(
    standalone: Cluster, store: Store, appended: Manifest, tmp_path: Path
) -> None:
    output = f"s3://{BUCKET}/appended-on-cluster"
    prepare(["--input", f"s3://{BUCKET}/raw/in.json", "--output", output, *SETTINGS], tmp_path, store=store)
    prepare(["--append", f"s3://{BUCKET}/raw/new.json", "--output", output], tmp_path, store=store, cluster=standalone)
    found = read_manifest(output)
    assert (found.dataset_id, found.rows, found.appended) == (appended.dataset_id, appended.rows, appended.appended)
