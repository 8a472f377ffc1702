"""Which records are asked: those that were trained, as the ledger tells, and the same ones each time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import made_up_pairs, write_data_set
from tests.trainer.audits import rows_by_epoch
from tests.trainer.configs import small_config
from trainer.plan.data_sets import open_data
from trainer.recall.sample import all_rows, held_out, iter_records, sample, trained_rows
from trainer.runs.checkpoint import last_state
from trainer.train import train


@pytest.mark.parametrize(
    ("weights", "changes"),
    [
        ((1,), {"max_steps": 3}),
        ((1,), {"limit": 60}),
        ((1,), {"limit": 60, "epochs": 2, "max_steps": 7}),
        ((0.7, 0.3), {"max_steps": 4}),
        ((0.7, 0.3), {"epochs": 3, "max_steps": 12}),
    ],
    ids=["stopped", "limited", "stopped later", "mixture, stopped", "mixture, stopped later"],
)
def test_trained_rows_are_those_of_the_ledger(
    prepared, other_prepared, micro_base: Path, tmp_path: Path, weights: Sequence[float], changes: dict
) -> None:
    roots = (prepared.root, other_prepared.root)
    texts = tuple(f"{root}:{weight}" for root, weight in zip(roots, weights, strict=False))
    config = replace(small_config(prepared, micro_base, tmp_path, limit=None, ledger=True), data=texts, **changes)
    train(config)

    data = open_data(config.data, limit=config.limit)
    cursor = last_state(tmp_path).cursor
    is_trained = trained_rows(data, max_length=config.max_length, seed=config.seed, cursor=cursor)

    expected = {row for rows in rows_by_epoch(tmp_path).values() for row in rows}
    assert set(np.flatnonzero(is_trained)) == expected
    assert {record.row for record in iter_records(data, is_asked=is_trained)} == expected
    assert {record.row for record in sample(data, 10_000, is_asked=is_trained, seed=1)} == expected


def test_a_sample_depends_on_keys_and_seed_alone_and_begins_a_larger_one(tmp_path: Path) -> None:
    """Not on the shards."""
    pairs = made_up_pairs(120)
    asked = {}
    for shard_rows in (120, 17):
        root = tmp_path / str(shard_rows)
        write_data_set(root, pairs[:100], shard_rows=shard_rows, val=pairs[100:110], test=pairs[110:])
        data = open_data([str(root)])
        for num, seed in ((5, 0), (40, 0), (40, 1), (1_000, 0)):
            asked[shard_rows, num, seed] = [
                each.title for each in sample(data, num, is_asked=all_rows(data), seed=seed)
            ]
        unseen = held_out(data)
        assert {each.title for each in sample(unseen, 99, is_asked=all_rows(unseen), seed=0)} == {
            title for title, _ in pairs[100:]
        }

    for num, seed in ((5, 0), (40, 0), (40, 1), (1_000, 0)):
        assert asked[120, num, seed] == asked[17, num, seed]
    assert asked[120, 5, 0] == asked[120, 40, 0][:5] == asked[120, 1_000, 0][:5]
    assert len(set(asked[120, 40, 0]) & set(asked[120, 40, 1])) < 30
    assert len(asked[120, 1_000, 0]) == 100


def test_a_damaged_shard_leaves_its_records_out(tmp_path: Path) -> None:
    manifest = write_data_set(tmp_path, made_up_pairs(60), shard_rows=20)
    (tmp_path / manifest.splits["train"][1].path).unlink()
    data = open_data([str(tmp_path)])

    assert [each.row for each in iter_records(data, is_asked=all_rows(data))] == [*range(20), *range(40, 60)]
