"""Data sets that keep every law, for a test to break."""

import copy
from pathlib import Path

import pytest

from tests.contract.data_sets import SOUND, DataSet


@pytest.fixture(name="data")
def _data() -> DataSet:
    """To break and write."""
    return copy.deepcopy(SOUND)


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """On a disk, to break there."""
    SOUND.write(str(tmp_path))
    return tmp_path


@pytest.fixture(name="written", scope="session")
def _written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On a disk, not to be changed."""
    root = tmp_path_factory.mktemp("sound")
    SOUND.write(str(root))
    return root


@pytest.fixture(name="small", scope="session")
def _small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some rows of it, also sound; to be left as it was after each change."""
    root = tmp_path_factory.mktemp("small")
    DataSet({section: rows[:40] for section, rows in SOUND.rows.items()}).write(str(root))
    return root
