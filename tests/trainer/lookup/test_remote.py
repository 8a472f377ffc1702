"""A data set in an object store: what a look-up reads of it, and what it says where the store fails."""

from collections.abc import Iterator

import fsspec
import pytest

from contract import storage
from contract.errors import UserError
from contract.manifest import read_manifest
from tests.conftest import made_up_pairs, write_data_set
from tests.trainer.shards.faulty_s3 import BUCKET, FaultyS3, forget_stores, only, rates, serve
from trainer.lookup.catalogue import open_catalogue

pytestmark = pytest.mark.s3

ROOT = f"s3://{BUCKET}/data"
PAIRS = made_up_pairs(9_000)  # in two shards of three row groups
CLIENT = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyS3]:
    local = tmp_path_factory.mktemp("local")
    write_data_set(local, PAIRS, shard_rows=5_000)
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in {**CLIENT, "AWS_ENDPOINT_URL": server.url}.items():
            patch.setenv(name, value)
        forget_stores()
        storage.open_filesystem(ROOT)[0].put(f"{local}/", f"{BUCKET}/data/", recursive=True)
        yield server


@pytest.fixture(name="store", autouse=True)
def _store(server: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 1}})
    monkeypatch.setattr("trainer.shards.retries._LONGEST_PAUSE_S", 0.3)
    monkeypatch.setattr("trainer.shards.retries.PATIENCE_S", 20)
    server.begin(only())
    return server


def test_a_source_names_the_url_and_the_shard() -> None:
    (source,) = open_catalogue([ROOT]).find(PAIRS[7_000][0]).sources

    shard = read_manifest(ROOT).splits["train"][1].path
    assert (source.text, source.data, source.shard, source.row) == (PAIRS[7_000][1], ROOT, shard, 2_000)


def test_a_look_up_reads_one_row_group_and_of_each_shard_the_footer_once(store: FaultyS3) -> None:
    open_catalogue([ROOT])
    store.begin(only())
    catalogue = open_catalogue([ROOT])
    assert [request.path.rpartition("/")[2] for request in store.requests if request.method == "GET"] == [
        "manifest.json"
    ]
    shards = read_manifest(ROOT).splits["train"]
    for row, num_gets in ((0, 2), (1, 0), (4_500, 1), (7_000, 2), (7_001, 0)):
        store.begin(only())
        assert catalogue.find(PAIRS[row][0]).sources[0].text == PAIRS[row][1]
        assert sum(request.method == "GET" for request in store.requests) == num_gets
    store.begin(only())
    assert catalogue.find("Nothing like a kettle that is there").sources == ()
    assert store.requests == []
    assert len(shards) == 2


def test_a_store_that_stumbles_is_asked_again(store: FaultyS3) -> None:
    store.begin(rates(0, status_503=0.1, reset=0.1, cut=0.1, flip=0.05), stall_s=2)
    catalogue = open_catalogue([ROOT])
    for row in range(0, 9_000, 1_000):
        assert catalogue.find(PAIRS[row][0]).sources[0].text == PAIRS[row][1]
    assert any(request.fault for request in store.requests)


def test_a_reader_without_rights_is_told_so(store: FaultyS3) -> None:
    catalogue = open_catalogue([ROOT])
    store.begin(lambda _number, _path: "403")

    with pytest.raises(UserError, match="cannot be read"):
        catalogue.find(PAIRS[0][0])
