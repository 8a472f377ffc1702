"""One store and one cluster for all tests of this folder, in one network; started by the first test that asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.manifest import Manifest, read_manifest
from tests.cluster.network import Network, network
from tests.cluster.standalone import Cluster, cluster, submit
from tests.cluster.store import BUCKET, Store, serve
from tests.spark_jobs.catalogues import catalogue, write
from tests.trainer.shards.faulty_s3 import forget_stores

SETTINGS = ("--shard-rows", "2500", "--partitions", "12")
NUM_LINES = 50_000  # 4.5 MB, so several tasks a stage: five read, twelve stage, 22 write


@pytest.fixture(scope="session")
def net() -> Iterator[Network]:
    """Two machines beside this one."""
    with network(2) as made:
        yield made


@pytest.fixture(scope="session")
def store(net: Network, tmp_path_factory: pytest.TempPathFactory, source: Path) -> Iterator[Store]:
    """A store that holds the catalogue as raw/in.json."""
    with serve(tmp_path_factory.mktemp("store"), host=net.address) as made:
        made.client().put(str(source), f"{BUCKET}/raw/in.json")
        yield made


@pytest.fixture
def as_owner(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is the store's owner, too."""
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    forget_stores()
    yield
    forget_stores()


@pytest.fixture(scope="session")
def running_cluster(net: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Started once."""
    with cluster(net, tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def standalone(running_cluster: Cluster) -> Cluster:
    """All of its workers run and are connected."""
    running_cluster.start_all()
    return running_cluster


@pytest.fixture(scope="session")
def can_be_cut(net: Network) -> None:
    """Skips the test where machines cannot be cut off."""
    if not all(machine.has_link for machine in net.machines):
        pytest.skip("no networks of our own on this machine: needs root and the command 'ip'")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue on this machine's disk."""
    return write(tmp_path_factory.mktemp("raw") / "in.json", catalogue(NUM_LINES))


@pytest.fixture(scope="session")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """What two cores of this machine make of it, from disk to disk."""
    folder = tmp_path_factory.mktemp("expected")
    arguments = ["--input", str(source), "--output", str(folder / "out"), "--on", "local[2]", *SETTINGS]
    with submit(arguments, folder / "log", environment={}) as job:
        assert job.wait() == 0, job.said()
    return read_manifest(str(folder / "out"))
