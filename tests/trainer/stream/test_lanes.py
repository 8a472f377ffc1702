"""Samples of stored records."""

from pathlib import Path

import pytest

from tests.conftest import made_up_pairs, write_data_set
from trainer.plan.data_sets import open_data
from trainer.shards.row_groups import DamagedShardError
from trainer.stream.lanes import first_records


def test_a_sample_leaves_out_damaged_records_only_if_asked_to(tmp_path: Path) -> None:
    manifest = write_data_set(tmp_path, made_up_pairs(60), shard_rows=20)
    shard = tmp_path / manifest.splits["train"][1].path
    shard.write_bytes(shard.read_bytes()[:100] + b"?" + shard.read_bytes()[101:])
    data = open_data([str(tmp_path)])

    with pytest.raises(DamagedShardError):
        first_records(data, 60)
    assert [record.row for record in first_records(data, 60, skip_damaged=True)] == [*range(20), *range(40, 60)]
