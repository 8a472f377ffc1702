"""A digest is noted, and the note holds as long as the file was not touched."""

import hashlib
import os
from pathlib import Path

import pytest

from trainer.bases import digest
from trainer.bases.digest import digest_of

SIZE = 2**22 + 1


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def aged(path: Path) -> None:
    os.utime(path, ns=(0, 10**18))


def test_a_file_that_was_not_touched_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    expected = written(path, b"a" * SIZE)
    aged(path)
    assert digest_of(path) == expected

    monkeypatch.setattr(digest, "sha256_of", lambda _: pytest.fail("it was read again"))
    assert digest_of(path) == expected


@pytest.mark.parametrize("is_aged", [False, True])
def test_a_change_is_seen_also_of_one_byte_at_the_same_time(tmp_path: Path, is_aged: bool) -> None:
    path = tmp_path / "weights"
    for data in (b"a" * SIZE, b"b" + b"a" * (SIZE - 1), b"a" * (SIZE + 1)):
        expected = written(path, data)
        if is_aged:
            aged(path)
        assert digest_of(path) == expected == digest_of(path)


def test_a_damaged_note_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    expected = written(path, b"a" * SIZE)
    aged(path)
    digest_of(path)
    (note,) = (tmp_path / "cache/vitrine/digests").iterdir()
    note.write_bytes(b"\xff")

    assert digest_of(path) == expected
    assert note.read_text() == expected
