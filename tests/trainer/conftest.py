"""A base for tests: a Llama of a few thousand weights, made once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from contract.manifest import Manifest
from trainer.tiny import TinyShape, make_tiny_base

MICRO = TinyShape(vocabulary=400, hidden=64, layers=2, head=32, records=200, steps=2, max_length=128)


@dataclass(frozen=True)
class Prepared:
    """A data set and where it lies."""

    root: str
    manifest: Manifest


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory, make_data_set: Callable[..., Manifest], pairs: Callable
) -> Prepared:
    """300 records of the train split in shards of 100, 7 of val, 5 of test."""
    root = tmp_path_factory.mktemp("data")
    records = pairs(312)
    return Prepared(str(root), make_data_set(root, records[:300], val=records[300:307], test=records[307:]))


@pytest.fixture(scope="session")
def micro_base(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> Path:
    """Folder of a base, in 32 bit."""
    folder = tmp_path_factory.mktemp("base")
    torch.set_num_threads(2)
    make_tiny_base(prepared.root, prepared.manifest, folder=folder, seed=0, shape=MICRO)
    return folder
