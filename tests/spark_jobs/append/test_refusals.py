"""What an append refuses, in one line, and what it leaves as it was."""

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any, Final

import pytest

from contract.errors import UserError
from contract.manifest import find_manifest, read_manifest
from contract.names import MANIFEST_NAME
from contract.verify.data_set import verify
from spark_jobs.append import run as appending
from spark_jobs.config import load_prepare
from tests.contract.data_sets import edit_manifest
from tests.spark_jobs.catalogues import catalogue, check_files, write
from tests.spark_jobs.conftest import Prepare
from tests.spark_jobs.processes import IS_LINUX, KILLS, start

pytestmark = pytest.mark.spark

_SETTINGS: Final = {"shard_rows": 200, "partitions": 12, "val_share": 0.01, "test_share": 0.01}


@pytest.fixture(name="output")
def _output(run: Prepare, tmp_path: Path) -> Path:
    """A data set of 300 lines."""
    run(write(tmp_path / "old.json", catalogue(300)), tmp_path / "out", **_SETTINGS)
    return tmp_path / "out"


def refusal(run: Prepare, source: Path, output: Path, **settings: Any) -> str:
    """The line that the user gets; the data set stays as it was."""
    before = (output / MANIFEST_NAME).read_bytes()
    with pytest.raises(UserError) as error:
        run(source, output, append=str(source), **_SETTINGS | settings)
    assert (output / MANIFEST_NAME).read_bytes() == before
    check_files(output, read_manifest(str(output)))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_other_settings(run: Prepare, output: Path, tmp_path: Path) -> None:
    new = write(tmp_path / "new.json", catalogue(400))
    said = refusal(run, new, output, seed=3, text_profile="natural")
    assert "text_profile was 'seed' and is 'natural'; seed was 0 and is 3" in said
    with pytest.raises(UserError, match="shard_rows was 200 and is 100000"):
        load_prepare(file=None, overrides={"append": str(new), "output": str(output), "shard_rows": 100_000})
    config = load_prepare(file=None, overrides={"append": str(new), "output": str(output)})
    assert (config.shard_rows, config.val_share, config.input) == (200, 0.01, str(new))


def test_texts_cleaned_by_an_earlier_edition_of_the_profile(run: Prepare, tmp_path: Path) -> None:
    old, new, output = write(tmp_path / "old.json", catalogue(30)), tmp_path / "new.json", tmp_path / "out"
    run(old, output, **_SETTINGS, text_profile="natural")
    edit_manifest(output, lambda document: document["config"].pop("text_profile_edition"))
    said = refusal(run, write(new, catalogue(40)), output, text_profile="natural")
    assert "was cleaned by edition 1 of the profile natural, and this version has edition 2" in said
    with pytest.raises(UserError, match="text_profile_edition was None and is 2; choose another output, or replace it"):
        run(old, output, **_SETTINGS, text_profile="natural")


def test_input_or_overwrite_beside_it(output: Path) -> None:
    given = {"append": "new.json", "output": str(output)}
    with pytest.raises(UserError, match="expected one of the two"):
        load_prepare(file=None, overrides=given | {"input": "all.json"})
    with pytest.raises(UserError, match="an append keeps what is there"):
        load_prepare(file=None, overrides=given | {"overwrite": True})


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no finished data set; make one with"):
        load_prepare(file=None, overrides={"append": "new.json", "output": str(tmp_path)})


def test_near_duplicates(run: Prepare, tmp_path: Path) -> None:
    settings = _SETTINGS | {"near_duplicates": 0.9}
    run(write(tmp_path / "old.json", catalogue(30)), tmp_path / "out", **settings)
    said = refusal(run, write(tmp_path / "new.json", catalogue(40)), tmp_path / "out", near_duplicates=0.9)
    assert "which an append does not look for" in said


def test_a_data_set_of_another_version(run: Prepare, output: Path, tmp_path: Path) -> None:
    new = write(tmp_path / "new.json", catalogue(400))
    manifest = read_manifest(str(output))
    assert manifest.statistics is not None
    (output / manifest.statistics.path).rename(tmp_path / "aside")
    with pytest.raises(UserError, match=r"cannot read .*, a file of the data set: "):
        run(new, output, append=str(new), **_SETTINGS)
    (output / manifest.statistics.path).write_bytes((tmp_path / "aside").read_bytes()[:-2] + b" \n")
    with pytest.raises(UserError, match="damaged"):
        run(new, output, append=str(new), **_SETTINGS)
    text = (output / MANIFEST_NAME).read_text().replace("vitrine/2", "vitrine/1")
    (output / MANIFEST_NAME).write_text("{" + text.partition(",\n")[2])
    with pytest.raises(UserError, match="its format is vitrine/1; prepare the data set again"):
        run(new, output, append=str(new), **_SETTINGS)


def test_a_data_set_without_counts(run: Prepare, output: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from contract.manifest import publish

    manifest = read_manifest(str(output))
    assert manifest.statistics is not None
    (output / manifest.statistics.path).unlink()
    publish(str(output), replace(manifest, statistics=None), replace=True)
    said = refusal(run, write(tmp_path / "new.json", catalogue(400)), output)
    assert "an earlier version prepared it; prepare all lines again, with --overwrite" in said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "the input is empty"),
        ([b"{"] * 5, "nothing to train on"),
        ([b'{"name": "a", "content": "b"}'] * 5, "nothing to train on"),
        ([*catalogue(2), *[b"{"] * 5], "5 of 7 lines of .* cannot be read"),
    ],
)
def test_lines_of_no_use(run: Prepare, output: Path, tmp_path: Path, lines: list[bytes], said: str) -> None:
    import re

    assert re.search(said, refusal(run, write(tmp_path / "new.json", lines), output))


def test_the_first_preparation_again_after_an_append(run: Prepare, output: Path, tmp_path: Path) -> None:
    new = write(tmp_path / "new.json", catalogue(400))
    run(new, output, append=str(new), **_SETTINGS)
    with pytest.raises(UserError, match=r"and 1 file\(s\) were appended since; choose another output"):
        run(tmp_path / "old.json", output, **_SETTINGS)


def test_a_file_that_was_changed_since(run: Prepare, output: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "old.json", catalogue(301))
    assert "1 file(s) have changed since" in refusal(run, source, output)


def test_a_damaged_old_shard(run: Prepare, output: Path, tmp_path: Path) -> None:
    shard = read_manifest(str(output)).splits["train"][-1]
    data = (output / shard.path).read_bytes()
    new = write(tmp_path / "new.json", catalogue(400))
    for place in (shard.row_groups[0].stop - 1, shard.bytes - 20):
        (output / shard.path).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(UserError, match=f"{shard.path}"):
            run(new, output, append=str(new), **_SETTINGS)
    (output / shard.path).write_bytes(data)


def test_another_preparation_that_publishes_meanwhile_wins(
    run: Prepare, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = appending.append_lines
    theirs, ours = (
        write(tmp_path / f"{name}.json", catalogue(count)) for name, count in (("theirs", 350), ("ours", 9))
    )

    def append_while_another_does(*args: Any) -> Any:
        made = original(*args)
        monkeypatch.setattr(appending, "append_lines", original)
        run(theirs, output, append=str(theirs), **_SETTINGS)
        return made

    monkeypatch.setattr(appending, "append_lines", append_while_another_does)
    with pytest.raises(UserError, match="another preparation has published"):
        run(ours, output, append=str(ours), **_SETTINGS)
    manifest = read_manifest(str(output))
    assert [source.path for source in manifest.source] == [str(tmp_path / "old.json"), str(theirs)]
    check_files(output, manifest)
    run(ours, output, append=str(ours), **_SETTINGS)


@pytest.mark.slow
@pytest.mark.skipif(not IS_LINUX, reason="looks for processes as Linux shows them")
def test_a_killed_append_leaves_the_old_data_set(run: Prepare, output: Path, tmp_path: Path) -> None:
    new = write(tmp_path / "new.json", catalogue(12_000))
    run(tmp_path / "old.json", tmp_path / "expected", **_SETTINGS)
    expected = run(new, tmp_path / "expected", append=str(new), **_SETTINGS)
    old, draw, num_killed = read_manifest(str(output)), random.Random(1), 0
    begun = time.monotonic()
    while num_killed < 2 + KILLS and time.monotonic() < begun + 60:
        job = start(new, output, tmp_path / "log", "--append", str(new))
        while not list(output.glob(".staging-*")) and job.process.poll() is None:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.2))
        with contextlib.suppress(ProcessLookupError):
            os.kill(job.process.pid, signal.SIGKILL)
        job.process.wait(60)
        report = verify(str(output))
        assert report.is_sound, report.findings
        if find_manifest(str(output)) != old:
            break  # it was faster
        num_killed += 1
    assert num_killed
    assert run(new, output, append=str(new), **_SETTINGS).dataset_id == expected.dataset_id
    assert json.loads((output / "card.json").read_text())["lines"] == 12_300
