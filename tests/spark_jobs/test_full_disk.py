"""Disks that are full: the output's at any point of the work, and the one that Spark shuffles through."""

import random
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from contract.columns import SPLITS
from contract.errors import UserError
from contract.manifest import find_manifest
from contract.verify.data_set import verify
from tests.spark_jobs import nasty
from tests.spark_jobs.catalogues import write
from tests.spark_jobs.conftest import Prepare
from tests.spark_jobs.processes import KILLS, start

pytestmark = pytest.mark.spark

Resize = Callable[[int], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Resize]]:
    """A folder on a disk of its own, and a function that gives that disk another size in KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a disk in memory")

    def resize(size_kib: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size_kib}k", str(folder)], check=True)

    yield folder, resize
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def incompressible(num: int, *, seed: int) -> list[bytes]:
    draw = random.Random(seed)
    return [nasty.line(uid=f"{number}", content=draw.randbytes(300).hex()) for number in range(num)]


def test_an_output_that_fills_up_at_any_point_keeps_the_old_data_set(
    run: Prepare, tmp_path: Path, disk: tuple[Path, Resize]
) -> None:
    folder, resize = disk
    output = folder / "out"
    sources = [write(tmp_path / f"{seed}.json", incompressible(1_000, seed=seed)) for seed in range(2)]
    resize(20_000)
    old = run(sources[0], output, shard_rows=200)
    held_kib = sum(path.stat().st_size for path in output.rglob("*") if path.is_file()) // 1024
    shards = {shard.path for split in SPLITS for shard in old.splits[split]}

    num_young = []  # shards written when there was no more room, from size to size
    for more_kib in count(40, 200 // KILLS):
        resize(held_kib + more_kib)
        try:
            new = run(sources[1], output, shard_rows=200, overwrite=True)  # checks that nothing else is left
            break
        except UserError as error:
            assert re.match(r"cannot write to \S*out\S*: No space left on device; make room", str(error))  # noqa: PT017
        report, found = verify(str(output)), find_manifest(str(output))
        assert report.is_sound, report.findings
        assert not list(output.glob(".staging-*"))
        if found == old:
            num_young.append(len({str(path.relative_to(output)) for path in output.glob("*/part-*")} - shards))
    assert new.dataset_id != old.dataset_id
    assert num_young[0] == 0 < max(num_young), f"it should fail while staging and while writing shards: {num_young}"


def test_a_full_disk_of_the_shuffle_is_told_in_a_line(tmp_path: Path, disk: tuple[Path, Resize]) -> None:
    folder, resize = disk
    resize(300)
    source = write(tmp_path / "in.json", incompressible(2_000, seed=0))
    run = start(source, tmp_path / "out", tmp_path / "log", SPARK_LOCAL_DIRS=str(folder))
    assert run.process.wait() == 2, run.said()
    assert len(run.said()) == 1, run.said()
    assert run.said()[0].startswith("error: no space left on the device that Spark shuffles through; make room there")
    assert find_manifest(str(tmp_path / "out")) is None
    run.wait_for_nobody()
