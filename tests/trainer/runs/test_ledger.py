"""The ledger is the same for any number of ranks, and is cut back to the step that a run goes on from."""

import ast
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from contract.errors import UserError
from trainer.examples.encoder import Example, Pack
from trainer.plan.data_sets import open_data
from trainer.runs.ledger import TrainedStep, cut_ledger, merge, read_ledger, trained, write_ledger
from trainer.stream.lanes import trained_records
from trainer.stream.packs import StepPacks

ROOT = Path(__file__).parents[3]


def whole_steps(num: int, *, packs_per_step: int) -> list[TrainedStep]:
    draw = random.Random(num)
    return [
        TrainedStep(
            step,
            0,
            first_pack := (step - 1) * packs_per_step,
            [
                [pack * 10 + row for row in range(draw.randint(0, 4))]
                for pack in range(first_pack, step * packs_per_step)
            ],
        )
        for step in range(1, num + 1)
    ]


def packs_of(rows: list[list[int]]) -> StepPacks:
    return StepPacks(tuple(Pack(tuple(Example(row, [1, 2], 1, 0) for row in pack)) for pack in rows), {})


@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("packs_per_step", [1, 3, 8])
def test_the_parts_of_all_ranks_make_up_the_steps(world: int, packs_per_step: int) -> None:
    """Also where some ranks have no pack in a step, and packs hold no records."""
    steps = whole_steps(9, packs_per_step=packs_per_step)
    parts = [
        [
            trained(
                packs_of([rows for number, rows in enumerate(step.packs, step.first_pack) if number % world == rank]),
                step=step.step,
                epoch=step.epoch,
                first_pack=step.first_pack,
            )
            for step in steps
        ]
        for rank in range(world)
    ]

    assert list(merge(parts)) == steps


def test_steps_after_the_one_that_a_run_goes_on_from_are_dropped(tmp_path: Path) -> None:
    steps = whole_steps(30, packs_per_step=2)
    for first in (0, 10, 20):
        write_ledger(tmp_path, steps[first : first + 10])
    write_ledger(tmp_path, [])

    assert list(read_ledger(tmp_path)) == steps
    cut_ledger(tmp_path, last_step=20)
    assert list(read_ledger(tmp_path)) == steps[:20]
    cut_ledger(tmp_path, last_step=0)
    with pytest.raises(UserError, match="--ledger' writes one"):
        list(read_ledger(tmp_path))


def test_the_page_leads_from_a_ledger_to_the_uids(prepared, other_prepared, tmp_path: Path) -> None:
    """Its code as it stands there, on a mixture of which not all is trained, against the stream's own records."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/ledger.md").read_text(), re.DOTALL | re.MULTILINE)
    texts = (f"{other_prepared.root}:0.3", f"{prepared.root}:0.7")
    data, run = open_data(texts), tmp_path / "run"
    trained_by_title = {record.title: record for record in trained_records(data, 1_000, lanes=2, seed=0)}
    rows = [record.row for record in trained_by_title.values()]
    steps = [TrainedStep(1, 0, 0, [rows[:5], [], rows[5:9]]), TrainedStep(2, 0, 3, [rows[9:]])]
    write_ledger(run, steps)
    (run / "config.json").write_text(json.dumps({"config": {"data": texts}}))
    (tmp_path / "trained.py").write_text(code)

    command = [sys.executable, "trained.py", str(run)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    title_of = {}
    for each in data:
        for shard in each.manifest.splits["train"]:
            table = pq.read_table(f"{each.root}/{shard.path}", columns=["uid", "title"]).to_pydict()
            title_of |= {(each.root, uid): title for uid, title in zip(table["uid"], table["title"], strict=True)}
    lines = told.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["1", "2"]
    found = [ast.literal_eval(line.partition(" ")[2]) for line in lines]
    assert [[len(pack) for pack in packs] for packs in found] == [[5, 0, 4], [len(rows) - 9]]
    uids = [uid for packs in found for pack in packs for uid in pack]
    for (title, record), uid in zip(trained_by_title.items(), uids, strict=True):
        root = other_prepared.root if record.row < 20 else prepared.root
        assert title_of[root, uid] == title


def test_a_ledger_that_lacks_steps_is_refused(tmp_path: Path) -> None:
    steps = whole_steps(30, packs_per_step=2)
    write_ledger(tmp_path, steps[:10])
    write_ledger(tmp_path, steps[20:])

    with pytest.raises(UserError, match=r"from-00000021.jsonl has step 21, expected 11: give --ledger"):
        list(read_ledger(tmp_path))
