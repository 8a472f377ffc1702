"""Files appear whole or not at all, on a disk and on an object store alike."""

import contextlib
import os
import threading
import time
from pathlib import Path

import fsspec
import pytest

from contract import storage
from contract.errors import UserError


@pytest.fixture(name="root", params=["disk", "memory"])
def _root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "out")
    url = f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").makedirs(url, exist_ok=True)
    return url


def test_what_is_written_is_read_listed_and_deleted(root: str) -> None:
    for name in ("b.txt", "deep/er/a.txt"):
        storage.write_bytes(storage.join(root, name), name.encode())

    assert storage.read_bytes(storage.join(root, "deep/er/a.txt")) == b"deep/er/a.txt"
    assert storage.list_files(root) == ["b.txt", "deep/er/a.txt"]
    storage.delete_files(root, ["deep/er/a.txt"])
    assert storage.list_files(root) == ["b.txt"]


@pytest.mark.parametrize("folder", ["plain", "of [a-z]?"])
def test_files_that_are_gone_already_are_no_reason_to_leave_others(root: str, folder: str) -> None:
    folder = storage.join(root, folder)
    for name in ("kept", "x/a", "x/b"):
        storage.write_bytes(storage.join(folder, name), b"")

    storage.delete_files(folder, ["gone", "x/a", "x/gone", "x/b"])
    assert storage.list_files(folder) == ["kept"]
    assert not fsspec.filesystem("file").exists(storage.join(folder, "x"))


def test_a_folder_that_another_process_deletes_while_it_is_empty_is_made_again(tmp_path: Path) -> None:
    folder, is_done = tmp_path / "out" / "train", threading.Event()

    def delete_empty_ones() -> None:
        while not is_done.is_set():
            for empty in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    empty.rmdir()
            time.sleep(0.0005)  # or it could be quicker a hundred times in a row

    threads = [threading.Thread(target=delete_empty_ones) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(300):
            storage.write_bytes(str(folder / f"{number}"), b"x")
            storage.delete_files(str(folder.parent), [f"train/{number}"])
    finally:
        is_done.set()
    for thread in threads:
        thread.join()


def test_without_replace_a_file_that_is_there_stays(root: str) -> None:
    url = storage.join(root, "once.txt")
    storage.write_bytes(url, b"first", replace=False)

    with pytest.raises(FileExistsError):
        storage.write_bytes(url, b"second", replace=False)
    assert storage.read_bytes(url) == b"first"
    storage.write_bytes(url, b"third")
    assert storage.read_bytes(url) == b"third"


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(OSError, match="No space left"):
        storage.write_bytes(str(tmp_path / "x"), b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_be_written_is_left_as_it_was(root: str) -> None:
    storage.require_writable(storage.join(root, "not/there"))
    assert storage.list_files(root) == []

    storage.write_bytes(storage.join(root, "kept"), b"")
    storage.require_writable(root)
    assert storage.list_files(root) == ["kept"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "file/out"):
        with pytest.raises(UserError, match=rf"cannot write to \S+/{name}: \S+/file is no folder .*; choose another"):
            storage.require_writable(str(tmp_path / name))
    with pytest.raises(UserError, match="cannot write to /proc/x: /proc is no folder that may be written to"):
        storage.require_writable("/proc/x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Access Denied")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "pipe_file", refuse)
    with pytest.raises(UserError, match="cannot write to memory://x: Access Denied; get permission"):
        storage.require_writable("memory://x")


def test_a_folder_that_is_not_there_lists_as_empty(root: str) -> None:
    assert storage.list_files(storage.join(root, "none")) == []


def test_an_unknown_scheme_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="cannot open 'nosuch://x'"):
        storage.open_filesystem("nosuch://x")


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    for url in ("s3://key:hidden@bucket/a", "s3a://key:hidden@bucket/a"):
        with pytest.raises(
            UserError, match="takes no credentials in the URL; give credentials in a usual place"
        ) as told:
            storage.open_filesystem(url)
        assert "hidden" not in str(told.value)
