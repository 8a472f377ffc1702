"""The index is made once, appears whole or not at all, and is made again where it is wrong."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contract.errors import UserError
from tests.conftest import Prepared, made_up_pairs, write_data_set
from trainer.lookup.catalogue import open_catalogue

ROOT = Path(__file__).parents[3]
TITLE, TEXT = made_up_pairs(1)[0]
MADE = "indexing the titles"


def text_of(data: str) -> str:
    """What the catalogue says of the first title."""
    return open_catalogue([data]).find(TITLE).sources[0].text


def index_folders(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()]


def test_an_index_is_made_once(prepared: Prepared, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert text_of(prepared.root) == TEXT
    assert MADE in capsys.readouterr().err
    (folder,) = index_folders(cache)
    assert folder.name.startswith(prepared.manifest.dataset_id)
    assert text_of(prepared.root) == TEXT
    assert capsys.readouterr().err == ""


def test_a_changed_data_set_has_another_index_and_the_old_one_goes(tmp_path: Path, cache: Path) -> None:
    for number in range(2):
        manifest = write_data_set(tmp_path / "data", [(TITLE, f"Text {number}.")])
        assert text_of(str(tmp_path / "data")) == f"Text {number}."
        assert [folder.name.partition("-")[0] for folder in index_folders(cache)] == [manifest.dataset_id]


def test_a_moved_data_set_has_the_same_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data_set(tmp_path / "here", made_up_pairs(10))
    assert text_of(str(tmp_path / "here")) == TEXT
    (tmp_path / "here").rename(tmp_path / "there")
    capsys.readouterr()

    (source,) = open_catalogue([str(tmp_path / "there")]).find(TITLE).sources
    assert (source.data, source.text) == (str(tmp_path / "there"), TEXT)
    assert MADE not in capsys.readouterr().err


def change(path: Path, edit: Callable[[bytearray], object]) -> None:
    data = bytearray(path.read_bytes())
    edit(data)
    path.write_bytes(data)


def other_rows(folder: Path) -> None:
    rows = np.load(folder / "rows.npy")
    np.save(folder / "rows.npy", rows[::-1])


def far_rows(folder: Path) -> None:
    rows = np.load(folder / "rows.npy")
    np.save(folder / "rows.npy", rows + 1_000_000)


def other_version(folder: Path) -> None:
    about = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(about | {"version": 0}))


BROKEN: dict[str, Callable[[Path], object]] = {
    "a file is missing": lambda folder: (folder / "postings.npy").unlink(),
    "a file is cut": lambda folder: change(folder / "titles.npy", lambda data: data.__delitem__(slice(-5, None))),
    "a header is damaged": lambda folder: change(folder / "keys.npy", lambda data: data.__setitem__(0, 0)),
    "nothing says what it is": lambda folder: (folder / "index.json").unlink(),
    "what says it is no JSON": lambda folder: (folder / "index.json").write_text("{"),
    "what says it is a list": lambda folder: (folder / "index.json").write_text("[]"),
    "another version": other_version,
    "it names other records": other_rows,
    "it names records that there are not": far_rows,
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_index_is_made_again(
    prepared: Prepared, cache: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    text_of(prepared.root)
    (folder,) = index_folders(cache)
    BROKEN[damage](folder)
    capsys.readouterr()

    assert text_of(prepared.root) == TEXT
    assert MADE in capsys.readouterr().err
    assert text_of(prepared.root) == TEXT
    assert MADE not in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["titles", "title_offsets", "keys", "key_titles", "row_offsets", "offsets", "postings"]
)
def test_no_damage_of_an_array_ends_the_process_or_shows_another_record(
    prepared: Prepared, cache: Path, name: str
) -> None:
    text_of(prepared.root)
    (folder,) = index_folders(cache)
    draw, whole = np.random.default_rng(0), np.load(folder / f"{name}.npy")
    for _ in range(5):
        np.save(folder / f"{name}.npy", draw.permutation(whole))
        catalogue = open_catalogue([prepared.root])
        for title, text in made_up_pairs(20):
            for asked in (title, title[1:]):
                found = catalogue.find(asked)
                assert {source.text for source in found.sources} <= {text} or found.sources[0].title != title


CODE = """
import sys
from trainer.lookup.catalogue import open_catalogue
print("ready", flush=True)
sys.stdin.readline()
print(open_catalogue([sys.argv[1]]).find(sys.argv[2]).sources[0].text)
"""


def test_processes_that_want_the_same_index_make_it_once(tmp_path: Path, cache: Path) -> None:
    write_data_set(tmp_path / "data", made_up_pairs(20_000), shard_rows=5_000)
    command = [sys.executable, "-c", CODE, str(tmp_path / "data"), TITLE]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, cwd=ROOT, text=True, **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = [process.communicate("go\n") for process in processes[::-1]]

    assert [out for out, _ in said] == [f"{TEXT}\n"] * 3
    assert sum(MADE in err for _, err in said) == 1
    assert len(index_folders(cache)) == 1


LOOP = """
import pathlib, shutil, sys
from trainer.lookup.catalogue import open_catalogue
print("ready", flush=True)
while True:
    open_catalogue([sys.argv[1]])
    for folder in pathlib.Path(sys.argv[2]).glob("*/"):
        if not folder.name.startswith("."):
            shutil.rmtree(folder)
"""


def test_a_killed_process_leaves_nothing_that_looks_like_an_index(tmp_path: Path, cache: Path) -> None:
    write_data_set(tmp_path / "data", made_up_pairs(2_000), shard_rows=500)
    draw = random.Random(0)
    for _ in range(int(os.environ.get("VITRINE_KILLS", "3"))):
        command = [sys.executable, "-c", LOOP, str(tmp_path / "data"), str(cache)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(draw.uniform(0.02, 0.3))
            process.send_signal(signal.SIGKILL)
        assert text_of(str(tmp_path / "data")) == TEXT
        names = sorted(path.name for path in cache.iterdir())
        assert len(names) == 2
        assert re.fullmatch(r"\.[0-9a-f]{32}-\d+\.lock", names[0])


def test_without_a_cache_the_index_is_temporary_and_that_is_printed(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # root may write to folders that are read-only
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    assert text_of(prepared.root) == TEXT
    assert "cannot be written (Not a directory): the index of titles is made in a temporary" in capsys.readouterr().err
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_disk_without_room_is_named(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.lookup.index.np.save", full)
    with pytest.raises(UserError, match=r"is full: the index .* needs about 200 bytes a record"):
        text_of(prepared.root)
