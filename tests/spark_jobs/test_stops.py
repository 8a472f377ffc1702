"""A preparation that ends between any two changes it makes to its output."""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from contract import storage
from contract.manifest import Manifest, find_manifest
from contract.names import CARD_HTML, CARD_JSON, MANIFEST_NAME
from contract.verify.data_set import verify
from spark_jobs import data_set
from spark_jobs import prepare as preparing
from spark_jobs.config import PrepareConfig
from spark_jobs.steps import Job
from tests.spark_jobs.catalogues import catalogue, check_files, write
from tests.spark_jobs.conftest import Prepare

pytestmark = pytest.mark.spark

_CHANGES = {"os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}


class Stopped(BaseException):
    """No error that anything handles."""


class Disk:
    """What this process does to the files of a folder; after so many changes every other one fails.

    So what a stopped process leaves is what one killed at that moment would: what tidies up fails as well.
    """

    def __init__(self) -> None:
        self._folder = ""
        self._num_left = 0
        self._is_frozen = False
        sys.addaudithook(self._note)  # there is no taking it away

    def freeze_after(self, num_changes: int, folder: Path) -> None:
        self._folder, self._num_left, self._is_frozen = str(folder), num_changes, False

    def thaw(self) -> bool:
        """Whether it had frozen."""
        self._folder = ""
        return self._is_frozen

    def _note(self, event: str, args: tuple[Any, ...]) -> None:  # whatever the event has
        if not self._folder or not (event in _CHANGES or (event == "open" and _is_writing(args[2]))):
            return
        if str(args[0]).startswith(self._folder):
            self._is_frozen = self._is_frozen or not self._num_left
            if self._is_frozen:
                raise Stopped(event, args)
            self._num_left -= 1


def _is_writing(flags: int) -> bool:
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def test_a_job_that_ends_at_any_step_of_publication_leaves_the_old_or_the_new_whole(
    run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Spark works once for each of two data sets; what it made of the second is then published again and again."""
    sources = [write(tmp_path / f"{count}.json", [*catalogue(count), b"{}"]) for count in (60, 90)]
    original, disk = data_set._run, Disk()
    results: list[Any] = []  # what `_run` gives

    def note(*args: Any) -> Any:
        results.append(original(*args))
        return results[-1]

    monkeypatch.setattr(data_set, "_run", note)
    old, new = (run(source, tmp_path / f"made{number}") for number, source in enumerate(sources))

    def run_again(job: Job, _: object) -> Any:
        output = Path(job.config.output)
        for path in new.files():
            if path != MANIFEST_NAME:
                shutil.copyfile(tmp_path / "made1" / path, output / path)
        storage.write_bytes(storage.join(job.staging, "000000-00-train.arrow"), b"")
        disk.freeze_after(num_changes, output)
        return results[1]

    monkeypatch.setattr(data_set, "_run", run_again)
    found: list[Manifest | None] = []
    for num_changes in range(1_000):
        output = tmp_path / f"out{num_changes}"
        shutil.copytree(tmp_path / "made0", output)
        with suppress(Stopped):
            run(sources[1], output, overwrite=True)
        if not disk.thaw():
            break
        found.append(find_manifest(str(output)))
        report = verify(str(output))
        assert report.is_sound, (num_changes, report.findings)
        if found[-1] == new:
            _check_that_nothing_is_left_to_do(sources[1], output, capfd)
        num_changes = 10**9
        run(sources[1], output, overwrite=True)  # checks that nothing else is left
    check_files(output, new)
    num_old = found.count(old)
    assert found == [old] * num_old + [new] * (len(found) - num_old)
    assert min(num_old, len(found) - num_old) >= 5, found


def _check_that_nothing_is_left_to_do(source: Path, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    card = {name for name in (CARD_JSON, CARD_HTML) if (output / name).exists()}
    capfd.readouterr()
    settings = {"val_share": 0.1, "test_share": 0.1, "shard_rows": 10}
    manifest = preparing.prepare(PrepareConfig(input=str(source), output=str(output), **settings))  # type: ignore[arg-type]
    told = capfd.readouterr().err.splitlines()
    assert told[0].startswith("nothing to do: ")
    assert [line.startswith("its data card is missing") for line in told[1:]] == [True] * (len(card) < 2)
    left = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    # What is younger than the manifest may be another job's, so half a card waits for the next publication.
    assert {name for name in left if not name.startswith(".card")} == {*manifest.files(), CARD_JSON, CARD_HTML}
