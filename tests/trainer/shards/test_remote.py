"""Shards in an object store that stumbles: every record once, or one clear line."""

import multiprocessing
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from msgspec import structs
from transformers import AutoTokenizer

from command.entry import USER_ERROR_CODE
from contract import storage
from contract.errors import UserError
from contract.manifest import read_manifest
from launch.cli import main
from tests.conftest import Prepared, made_up_pairs
from tests.trainer.shards.faulty_s3 import BUCKET, Fault, FaultyS3, forget_stores, only, rates, serve
from trainer.examples.encoder import Encoder
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Rank, Unit
from trainer.shards.cache import Cache
from trainer.shards.row_groups import DamagedShardError, RowGroups
from trainer.stream.cursor import Cursor
from trainer.stream.packs import PackStream
from trainer.stream.prefetch import prefetch

pytestmark = pytest.mark.s3

ROOT = f"s3://{BUCKET}/data"
CLIENT = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(name="server", scope="module")
def _server(prepared: Prepared) -> Iterator[FaultyS3]:
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in {**CLIENT, "AWS_ENDPOINT_URL": server.url}.items():
            patch.setenv(name, value)
        forget_stores()
        filesystem = storage.open_filesystem(ROOT)[0]
        filesystem.put(f"{prepared.root}/", f"{BUCKET}/data/", recursive=True)
        yield server


@pytest.fixture(name="data")
def _data(server: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """In the store; it is sound, a stall is one second long, and pauses between tries are short."""
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 1}})
    monkeypatch.setattr("trainer.shards.retries._LONGEST_PAUSE_S", 0.3)
    monkeypatch.setattr("trainer.shards.retries.PATIENCE_S", 20)
    server.begin(only())
    return DataSet(ROOT, read_manifest(ROOT))


@pytest.fixture(name="texts")
def _texts() -> list[tuple[str, str]]:
    return made_up_pairs(300)


def read_all(data: DataSet, cache: Cache | None = None) -> list[tuple[str, str]]:
    """The records in stored order, read ahead."""
    groups = RowGroups([data], cache)
    units = [Unit(0, shard, first, 20) for shard in range(3) for first in range(0, 100, 20)]
    try:
        for unit in units:
            groups.announce(unit)
        tables = [groups.read(unit) for unit in units]
    finally:
        groups.close()
    return [(row["title"], row["content"]) for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize("fault", ["503", "reset", "cut", "short", "flip", "stall"])
def test_one_fault_of_each_kind_is_survived(server: FaultyS3, data: DataSet, texts, fault) -> None:
    asked = Counter[str]()

    def second_of_each_shard(_number: int, path: str) -> Fault | None:
        asked[path] += 1
        return fault if asked[path] == 2 else None

    server.begin(second_of_each_shard, stall_s=2)

    assert read_all(data) == texts
    assert server.count(fault) == 3


def test_a_store_that_is_down_is_told_with_tries_and_last_error(
    server: FaultyS3, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.shards.retries.PATIENCE_S", 1)
    server.begin(lambda *_: "503")
    began = time.monotonic()

    told = r"shard train/\S+ cannot be read: \d+ tries in \d+ s.*Service Unavailable.*--resume"
    with pytest.raises(UserError, match=told) as caught:
        read_all(data)
    assert not isinstance(caught.value, DamagedShardError)
    assert time.monotonic() - began < 10


def test_what_may_pass_is_never_skipped_as_damage(
    server: FaultyS3, stream: PackStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.shards.retries.PATIENCE_S", 1)
    server.begin(lambda _number, path: "reset" if "part-00001" in path else None)

    with pytest.raises(UserError, match=r"shard train/part-00001-\S+ cannot be read: \d+ tries"):
        ledger(replace(stream, skip_damaged=True), 0)


def test_no_right_to_read_is_told_at_once(server: FaultyS3, data: DataSet) -> None:
    server.begin(lambda *_: "403")

    with pytest.raises(UserError, match=r"shard train/\S+ cannot be read") as caught:
        RowGroups([data]).read(Unit(0, 0, 0, 1))
    assert not isinstance(caught.value, DamagedShardError)
    assert len(server.requests) == 1


def test_a_missing_shard_is_damage_and_a_missing_data_set_is_not(data: DataSet) -> None:
    shard = data.manifest.splits["train"][0]
    missing = structs.replace(shard, path="train/part-00009-00000000.parquet")
    changed = replace(data, manifest=replace(data.manifest, splits={"train": (missing,)}))
    with pytest.raises(DamagedShardError, match="found no file"):
        RowGroups([changed]).read(Unit(0, 0, 0, 1))
    for root in (f"s3://{BUCKET}/elsewhere", "s3://no-such-bucket/data"):
        with pytest.raises(UserError) as caught:
            RowGroups([replace(data, root=root)]).read(Unit(0, 0, 0, 1))
        assert not isinstance(caught.value, DamagedShardError)


@pytest.mark.parametrize("change", [lambda data: data[:-9], lambda data: data + b"x", lambda data: b"x" + data[1:]])
def test_another_file_in_a_shard_s_place_is_damage(data: DataSet, change) -> None:
    shard = data.manifest.splits["train"][0]
    url = storage.join(f"s3://{BUCKET}/changed", shard.path)
    storage.write_bytes(url, change(storage.read_bytes(storage.join(ROOT, shard.path))))
    storage.write_bytes(f"s3://{BUCKET}/changed/manifest.json", b"{}")

    with pytest.raises(DamagedShardError, match=rf"{shard.path} is damaged"):
        RowGroups([replace(data, root=f"s3://{BUCKET}/changed")]).read(Unit(0, 0, 0, 1))


@pytest.mark.usefixtures("server")
def test_a_bucket_that_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command line, in one line."""
    argv = ["train", "--data", "s3://no-such-bucket/data", "--run", str(tmp_path / "run"), "--cpu"]

    assert main(argv) == USER_ERROR_CODE
    told = capsys.readouterr().err
    assert told == "error: cannot read s3://no-such-bucket/data/manifest.json: there is no bucket no-such-bucket\n"


def test_a_server_that_is_not_there_is_told(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    options = {"endpoint_url": url, "config_kwargs": {"retries": {"total_max_attempts": 1}}}
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    monkeypatch.setattr("trainer.shards.retries.PATIENCE_S", 1)

    with pytest.raises(UserError, match="cannot read s3://"):
        read_manifest(ROOT)
    with pytest.raises(UserError, match=r"cannot be read: \d+ tries in"):
        RowGroups([data]).read(Unit(0, 0, 0, 1))


def test_missing_credentials_are_told_at_once(data: DataSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in CLIENT:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 3}})  # another client than before

    with pytest.raises(UserError, match=r"(?i)credentials"):
        read_manifest(ROOT)
    with pytest.raises(UserError, match=r"(?i)credentials"):
        RowGroups([data]).read(Unit(0, 0, 0, 1))


def test_each_byte_is_fetched_once_into_a_cache(server: FaultyS3, data: DataSet, texts, tmp_path: Path) -> None:
    for _ in range(2):
        assert read_all(data, Cache(tmp_path, 10**9)) == texts

    asked = Counter((request.path, request.range) for request in server.requests if request.method == "GET")
    shards = [path for path, _ in asked if "/train/" in path]
    assert len(shards) == 3
    assert set(asked.values()) == {1}


def test_a_cache_is_filled_through_faults(server: FaultyS3, data: DataSet, texts, tmp_path: Path) -> None:
    server.begin(only("503", "cut", None, "flip", "short", "reset", "stall"), stall_s=2)

    assert read_all(data, Cache(tmp_path, 10**9)) == texts
    assert all(server.count(fault) == 1 for fault in ("503", "cut", "flip", "short", "reset", "stall"))


def test_nobody_waits_for_a_stalled_read_that_is_wanted_no_more(
    server: FaultyS3, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.shards.retries.PATIENCE_S", 300)
    server.begin(lambda *_: "reset")
    groups = RowGroups([data])
    for shard in range(3):
        groups.announce(Unit(0, shard, 0, 100))
    time.sleep(1)
    began = time.monotonic()
    groups.close()

    assert time.monotonic() - began < 5
    assert not any(thread.name == "row-groups" for thread in threading.enumerate())


@pytest.fixture(name="stream")
def _stream(micro_base: Path, data: DataSet, monkeypatch: pytest.MonkeyPatch) -> PackStream:
    monkeypatch.setattr("trainer.plan.order.BLOCK_ROWS", 10)
    encoder = Encoder(AutoTokenizer.from_pretrained(micro_base), max_length=128)
    return PackStream((data,), encoder, Rank(0, 1), packs_per_step=4, seed=1)


def ledger(stream: PackStream, epoch: int) -> list[tuple[int, ...]]:
    """The rows of each pack of an epoch."""
    packs = []
    steps = stream.epoch(Cursor.start(epoch))
    for step in steps:
        packs += [tuple(example.row for example in pack.examples) for pack in step.packs]
        if step.is_over:
            break
    steps.close()
    return packs


@pytest.mark.parametrize("is_cached", [False, True])
def test_epochs_through_a_store_that_stumbles_learn_each_record_once(
    server: FaultyS3, stream: PackStream, tmp_path: Path, is_cached: bool
) -> None:
    """5 % of requests refused, 1 % of connections reset, some stalled for longer than a read waits."""
    calm = [ledger(stream, epoch) for epoch in range(6)]
    server.begin(rates(7, status_503=0.05, reset=0.01, cut=0.01, stall=0.01), stall_s=2)
    stream = replace(stream, cache=Cache(tmp_path, 10**9) if is_cached else None)
    num_epochs = 1 if is_cached else 6

    for epoch in range(num_epochs):
        assert ledger(stream, epoch) == calm[epoch]
        assert sorted(row for pack in calm[epoch] for row in pack) == list(range(300))
    assert is_cached or (server.count("503") and server.count("reset") + server.count("cut") + server.count("stall"))


@pytest.mark.parametrize("wrap", [iter, lambda steps: prefetch((step for step in steps), ahead=2)])
def test_a_stream_that_is_ended_leaves_no_thread(stream: PackStream, wrap) -> None:
    """Closed by itself, or let go by the thread that works ahead of the loop."""
    steps = wrap(stream.epoch(Cursor.start()))
    next(steps)
    steps.close()

    assert not any(thread.name == "row-groups" for thread in threading.enumerate())


def test_a_forked_process_reads_as_well(data: DataSet, texts) -> None:
    """As workers of a DataLoader do, after their parent has read."""
    assert read_all(data) == texts
    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()
    child = context.Process(target=lambda: found.put(read_all(data)), daemon=True)
    child.start()
    child.join(60)

    assert child.exitcode == 0
    assert found.get() == texts
