"""The cache of whole shards: never a wrong byte, never over its limit, shared by processes that may be killed."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from contract.errors import UserError
from contract.shard import Shard
from tests.conftest import Prepared, made_up_pairs, write_data_set
from trainer.config import TrainConfig
from trainer.plan.data_sets import DataSet
from trainer.plan.order import units_of
from trainer.shards.cache import Cache, CachedShard, open_cache
from trainer.shards.row_groups import DamagedShardError, RowGroups
from trainer.train import main

LARGE = 10**9


@pytest.fixture(name="data")
def _data(prepared: Prepared) -> DataSet:
    return DataSet(prepared.root, prepared.manifest)


@pytest.fixture(name="shards")
def _shards(prepared: Prepared) -> tuple[Shard, ...]:
    return prepared.manifest.splits["train"]


class Source:
    """Where shards come from; counts the bytes of each that it gave, and can give wrong ones."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.given: Counter[str] = Counter()
        self.damage: Callable[[bytes], bytes] = bytes

    def fetch(self, shard: Shard) -> Callable[[int, int], bytes]:
        """For `Cache.open`."""

        def read(start: int, stop: int) -> bytes:
            self.given[shard.path] += stop - start
            return self.damage((self.root / shard.path).read_bytes())[start:stop]

        return read


@pytest.fixture(name="source")
def _source(prepared: Prepared) -> Source:
    return Source(prepared.root)


def open_copy(cache: Cache, shard: Shard, source: Source) -> CachedShard | None:
    """A copy, by the cache."""
    return cache.open(shard, source.fetch(shard), stop=threading.Event())


def content(copy: CachedShard | None, shard: Shard) -> bytes:
    """All of it."""
    assert copy is not None
    return copy.read(0, shard.bytes)


def held_bytes(folder: Path) -> int:
    """What the files of a cache come to."""
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_shard_is_fetched_once(tmp_path: Path, shards, source: Source) -> None:
    for _ in range(3):
        for shard in shards:
            copy = open_copy(Cache(tmp_path, LARGE), shard, source)
            assert hashlib.sha256(content(copy, shard)).hexdigest() == shard.sha256

    assert source.given == {shard.path: shard.bytes for shard in shards}
    assert {path.name for path in tmp_path.iterdir()} == {"lock"} | {f"{shard.sha256}.parquet" for shard in shards}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(path: Path, other: Path) -> None:
    path.rename(path.with_name("x"))
    other.rename(path)
    path.with_name("x").rename(other)


@pytest.mark.parametrize(
    ("damage", "num_damaged"),
    [
        (lambda one, _: flip(one), 1),
        (lambda one, _: os.truncate(one, 100), 1),
        (lambda one, _: os.truncate(one, 0), 1),
        (lambda one, _: one.write_bytes(one.read_bytes() + b"x"), 1),
        (swap, 2),
    ],
    ids=["flipped", "truncated", "empty", "longer", "swapped"],
)
def test_a_damaged_copy_is_found_at_the_next_open_and_fetched_again_once(
    tmp_path: Path, shards, source: Source, damage, num_damaged: int
) -> None:
    cache = Cache(tmp_path, LARGE)
    for shard in shards:
        open_copy(cache, shard, source)
    damage(*(tmp_path / f"{shard.sha256}.parquet" for shard in shards[:2]))
    source.given.clear()

    for _ in range(2):
        for shard in shards:
            assert hashlib.sha256(content(open_copy(cache, shard, source), shard)).hexdigest() == shard.sha256
    assert source.given == {shard.path: shard.bytes for shard in shards[:num_damaged]}


@pytest.mark.parametrize("is_cached", [False, True])
def test_a_shard_that_is_damaged_where_it_comes_from_is_named(
    tmp_path: Path, shards, source: Source, is_cached: bool
) -> None:
    cache, shard = Cache(tmp_path, LARGE), shards[0]
    if is_cached:
        open_copy(cache, shard, source)
        flip(tmp_path / f"{shard.sha256}.parquet")
    source.given.clear()
    source.damage = lambda data: data[:-1] + b"x"

    with pytest.raises(
        DamagedShardError, match=rf"{shard.path} is damaged: found sha256 .* expected {shard.sha256[:16]}"
    ):
        open_copy(cache, shard, source)
    assert source.given[shard.path] == 2 * shard.bytes
    assert held_bytes(tmp_path) == 0


def test_what_was_not_used_longest_goes_first(tmp_path: Path, shards, source: Source) -> None:
    cache = Cache(tmp_path, shards[0].bytes + shards[1].bytes + 1_000)
    for shard in (shards[0], shards[1], shards[0], shards[2]):
        assert open_copy(cache, shard, source) is not None

    assert held_bytes(tmp_path) <= cache.limit
    assert not (tmp_path / f"{shards[1].sha256}.parquet").exists()
    assert (tmp_path / f"{shards[0].sha256}.parquet").exists()


def test_a_limit_that_is_lowered_holds_from_the_next_open_on(tmp_path: Path, shards, source: Source) -> None:
    for shard in shards:
        open_copy(Cache(tmp_path, LARGE), shard, source)
    source.given.clear()

    assert open_copy(Cache(tmp_path, shards[2].bytes), shards[2], source) is not None
    assert held_bytes(tmp_path) == shards[2].bytes
    assert not source.given


def test_what_is_read_is_not_deleted_and_the_limit_holds(tmp_path: Path, shards, source: Source) -> None:
    cache = Cache(tmp_path, shards[0].bytes + shards[1].bytes + 1_000)
    copies = [open_copy(cache, shard, source) for shard in shards[:2]]

    assert open_copy(cache, shards[2], source) is None
    assert held_bytes(tmp_path) <= cache.limit
    assert all(content(copy, shard) for copy, shard in zip(copies, shards, strict=False))
    copies.clear()
    assert open_copy(cache, shards[2], source) is not None
    assert held_bytes(tmp_path) <= cache.limit


def test_only_its_own_files_are_counted_and_deleted(tmp_path: Path, shards, source: Source) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / f"{'0' * 64}.parquet").write_bytes(bytes(10**6))
    (tmp_path / f"{'1' * 64}.part").write_bytes(bytes(10**6))
    (tmp_path / f"{'2' * 64}.parquet").symlink_to(tmp_path / "notes.txt")

    assert open_copy(Cache(tmp_path, shards[0].bytes), shards[0], source) is not None
    assert {"notes.txt", "lock", f"{shards[0].sha256}.parquet"} == {
        path.name for path in tmp_path.iterdir() if not path.is_symlink()
    }
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("sha256", ["../../x", "", "0" * 63, "A" * 64])
def test_a_hash_that_is_none_is_refused(tmp_path: Path, shards, source: Source, sha256: str) -> None:
    with pytest.raises(UserError, match="expected 64 hexadecimal digits"):
        open_copy(Cache(tmp_path, LARGE), structs.replace(shards[0], sha256=sha256), source)


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path, shards, source: Source) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / f"{shards[0].sha256}.part").symlink_to(victim)

    with pytest.raises(UserError, match=f"the cache {folder} cannot be used"):
        open_copy(Cache(folder, LARGE), shards[0], source)
    assert victim.read_text() == "mine"


def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path, shards, source: Source) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UserError, match="cannot be used"):
        open_copy(Cache(tmp_path / "file", LARGE), shards[0], source)


def test_a_full_disk_is_told(tmp_path: Path, shards, source: Source) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(folder)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk in memory")
    try:
        with pytest.raises(UserError, match=f"the disk of the cache {folder} is full: shard {shards[0].path} needs"):
            open_copy(Cache(folder, LARGE), shards[0], source)
        assert held_bytes(folder) == 0
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_process_that_hangs_while_it_fetches_is_not_waited_for_for_ever(
    tmp_path: Path, shards, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.shards.cache.PATIENCE_S", 0.3)
    cache = Cache(tmp_path, LARGE)

    with cache._claimed(shards[0], stop=threading.Event()):
        assert open_copy(cache, shards[0], source) is None
    assert open_copy(cache, shards[0], source) is not None


@pytest.mark.parametrize(
    ("limit", "told"), [("1kB", "of the largest shard"), ("20 GB", None), ("1 GiB", None), ("3000000", None)]
)
def test_a_limit_below_one_shard_is_refused(tmp_path: Path, data: DataSet, limit: str, told: str | None) -> None:
    config = TrainConfig(data=(data.root,), run="r", cache=str(tmp_path / "cache"), cache_limit=limit)
    if told is None:
        assert open_cache(config, [data]) is not None
    else:
        with pytest.raises(UserError, match=told):
            open_cache(config, [data])
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("file", "cannot write to .*file: .*file is no folder that may be written to .Not a directory"),
        ("file/cache", "cannot write to .*cache: .*file is no folder that may be written to .Not a directory"),
        ("data", "data lies in the folder of the data set .*, expected one of its own"),
        ("data/train/cache", "cache lies in the folder of the data set"),
        ("linked/cache", "cache lies in the folder of the data set"),
        ("run/cache", "cache lies in the folder of the run"),
    ],
)
def test_a_folder_that_cannot_be_a_cache_is_refused_before_anything_is_loaded(
    tmp_path: Path, data: DataSet, folder: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data.root, tmp_path / "data")
    (tmp_path / "linked").symlink_to(tmp_path / "data")
    (tmp_path / "file").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    argv = [f"--data={tmp_path / 'data'}", f"--run={tmp_path / 'run'}", f"--cache={tmp_path / folder}"]

    assert main([*argv, "--base=nowhere/none"]) == 2
    error = capsys.readouterr().err
    assert re.search(f"^error: .*{told}.*\n$", error)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_not_be_written_is_refused(tmp_path: Path, data: DataSet) -> None:
    tmp_path.chmod(0o500)
    for folder in (tmp_path, tmp_path / "cache"):
        with pytest.raises(UserError, match=r"cannot write to .*Permission denied"):
            open_cache(TrainConfig(data=(data.root,), run="r", cache=str(folder)), [data])


@pytest.mark.parametrize(
    "options", [{"cache_limit": "5GB"}, {"cache": "c", "cache_limit": "5 apples"}, {"cache": "s3://b"}]
)
def test_settings_of_no_sense_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(UserError, match="cache"):
        TrainConfig(data=("d",), run="r", **options)


def test_row_groups_read_through_it(tmp_path: Path, data: DataSet, shards) -> None:
    """The same rows, whatever the limit; the data set is not read again where it fits."""
    expected = [RowGroups([data]).read(unit) for unit in units_of(data.rows)]
    for limit in (LARGE, shards[0].bytes + shards[1].bytes + 1_000):
        folder = tmp_path / str(limit)
        groups = RowGroups([data], Cache(folder, limit))
        for unit in units_of(data.rows):
            groups.announce(unit)
        assert [groups.read(unit) for unit in units_of(data.rows)] == expected
        assert held_bytes(folder) <= limit
        groups.close()
    copied = tmp_path / "data"
    shutil.copytree(data.root, copied)
    shutil.rmtree(copied / "train")
    groups = RowGroups([replace(data, root=str(copied))], Cache(tmp_path / str(LARGE), LARGE))
    assert [groups.read(unit) for unit in units_of(data.rows)] == expected


READER = """
import json, sys, time
from pathlib import Path
from contract.manifest import read_manifest
from trainer.shards import files
from trainer.shards.cache import Cache
from trainer.plan.data_sets import DataSet
from trainer.plan.order import units_of
from trainer.shards.row_groups import RowGroups

root, folder, limit, pause = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
read, given = files.LocalShard.read, {}

def slow_read(self, start, stop):
    given[self.shard.path] = given.get(self.shard.path, 0) + stop - start
    print("fetching\\n", end="", flush=True)  # in one write
    time.sleep(pause)
    return read(self, start, stop)

files.LocalShard.read = slow_read
data = DataSet(root, read_manifest(root))
titles, most = [], 0
for _ in range(int(sys.argv[5])):
    groups = RowGroups([data], Cache(folder, limit))
    for unit in units_of(data.rows):
        groups.announce(unit)
    for unit in units_of(data.rows):
        titles += groups.read(unit)["title"].to_pylist()
        time.sleep(pause)
        most = max(most, sum(path.stat().st_size for path in folder.iterdir() if path.exists()))
    groups.close()
print(json.dumps({"titles": titles, "given": given, "most": most}))
"""


def start_reader(root: str, folder: Path, *, limit: int = LARGE, pause: float = 0.0, times: int = 1):
    """Another process that reads a data set through a cache, as slowly as told."""
    arguments = [sys.executable, "-c", READER, root, str(folder), str(limit), str(pause), str(times)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end_of(process) -> dict:
    """What it found."""
    told, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(told.splitlines()[-1])


TITLES = [title for title, _ in made_up_pairs(300)]


def test_processes_share_a_folder_and_fetch_each_shard_once(tmp_path: Path, data: DataSet, shards) -> None:
    found = [end_of(each) for each in [start_reader(data.root, tmp_path, pause=0.02, times=3) for _ in range(4)]]

    assert all(each["titles"] == 3 * TITLES for each in found)
    given = sum((Counter(each["given"]) for each in found), Counter())
    assert given == {shard.path: shard.bytes for shard in shards}


def test_a_small_limit_and_a_slow_process_change_no_record(tmp_path: Path, data: DataSet, shards) -> None:
    limit = sum(sorted(shard.bytes for shard in shards)[-2:])
    paces = (0.1, 0.0, 0.01)
    processes = [start_reader(data.root, tmp_path, limit=limit, pause=pause, times=3) for pause in paces]
    found = [end_of(process) for process in processes]

    assert all(each["titles"] == 3 * TITLES for each in found)
    assert max(each["most"] for each in found) <= limit


def test_a_killed_process_leaves_nothing_to_clean(tmp_path: Path, data: DataSet, shards) -> None:
    """Killed while it fetches: what it holds counts no more, and the next one fetches at once."""
    limit = sum(shard.bytes for shard in shards)
    for _ in range(3):
        process = start_reader(data.root, tmp_path, limit=limit, pause=30)
        assert process.stdout.readline() == "fetching\n"
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert any(path.suffix == ".part" for path in tmp_path.iterdir())
    began = time.monotonic()

    assert end_of(start_reader(data.root, tmp_path, limit=limit))["titles"] == TITLES
    assert time.monotonic() - began < 15
    assert held_bytes(tmp_path) == limit
    assert not any(path.suffix == ".part" for path in tmp_path.iterdir())


def test_a_fetch_that_is_wanted_no_more_ends(tmp_path: Path, shards, source: Source) -> None:
    """While another process holds the shard."""
    cache, stop, ends = Cache(tmp_path, LARGE), threading.Event(), []
    with cache._claimed(shards[0], stop=stop):
        thread = threading.Thread(target=lambda: ends.append(_outcome(cache, shards[0], source, stop)))
        thread.start()
        time.sleep(0.2)
        assert not ends
        stop.set()
        thread.join(5)
    assert ends == ["StoppedError"]


def _outcome(cache: Cache, shard: Shard, source: Source, stop: threading.Event) -> str:
    try:
        cache.open(shard, source.fetch(shard), stop=stop)
    except Exception as error:  # noqa: BLE001  # its name is what is asked for
        return type(error).__name__
    return "opened"


def test_a_data_set_of_another_content_is_another_file(tmp_path: Path, data: DataSet) -> None:
    """Two data sets with shards of one name."""
    other_root = tmp_path / "other"
    other = DataSet(str(other_root), write_data_set(other_root, made_up_pairs(50)))
    cache = Cache(tmp_path / "cache", LARGE)

    for each in (data, other, data):
        groups = RowGroups([each], cache)
        assert groups.read(units_of(each.rows)[0]) == RowGroups([each]).read(units_of(each.rows)[0])
