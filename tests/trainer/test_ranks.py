"""Any number of ranks takes the steps that one takes, on few and uneven shards, damages, mixtures, and ends as one."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from contract.manifest import read_manifest
from tests.conftest import made_up_pairs, write_data_set
from tests.spark_jobs.processes import IS_LINUX
from tests.trainer.audits import damage_shard, ledger_text, rows_by_epoch
from tests.trainer.launches import free_port, launch
from tests.trainer.many_trainings import outcome
from trainer.runs import names
from trainer.runs.metrics import read_metrics, read_recalls

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not IS_LINUX, reason="looks for processes as Linux shows them")]

SIZES = {
    "recipe": "seed",
    "max_length": 128,
    "tokens_per_step": 1024,
    "ledger": True,
    "save_every": 7,
    "log_every": 1_000,
}

MEASURED = {"uneven shards", "one record", "missing", "nothing left", "mixture"}  # their recall, too


def plans(prepared, base: Path, folder: Path) -> dict[str, dict]:
    """Trainings by name: few and uneven shards, fewer records than ranks, damages, mixtures."""
    pairs = made_up_pairs(107)
    settings: dict[str, dict] = {}

    def add(name: str, *roots: object, **changes: object) -> None:
        settings[name] = {
            "data": list(map(str, roots)),
            "base": str(base),
            "recall": name in MEASURED,
            **SIZES,
            **changes,
        }

    for name, rows, shard_rows in (
        ("one shard", 80, 80),
        ("uneven shards", 107, 100),
        ("three records", 3, 100),
        ("one record", 1, 1),
    ):
        write_data_set(folder / name, pairs[:rows], shard_rows=shard_rows)
        add(name, folder / name, epochs=2)
    for damage in ("missing", "truncated", "flipped"):
        shutil.copytree(prepared.root, folder / damage)
        damage_shard(folder / damage, prepared.manifest, damage)
        add(damage, folder / damage)
        add(f"{damage}, skipped", folder / damage, skip_damaged=True)
    shutil.copytree(folder / "one shard", folder / "nothing left")
    next((folder / "nothing left" / "train").iterdir()).unlink()
    add("nothing left", folder / "nothing left", skip_damaged=True)
    add("mixture", f"{folder / 'one shard'}:0.7", f"{folder / 'uneven shards'}:0.3", epochs=3)
    add("limited mixture", f"{folder / 'one shard'}:2", folder / "uneven shards", limit=30, epochs=2)
    add("after all errors", folder / "uneven shards", epochs=1)
    return settings


def shown(run: Path) -> object:
    """What a training left behind that is the same on any number of ranks."""
    has_ledger = (run / names.LEDGER).exists()
    counts = [{name: value for name, value in line.items() if isinstance(value, int)} for line in read_metrics(run)]
    return (ledger_text(run) if has_ledger else None), counts, (run / "adapter").exists()


def measured(run: Path) -> list[float]:
    """The recall of the base and of the run's end: ranks share the records, and find the same together."""
    recalls = [each for each in read_recalls(run) if each.step == 0 or each.neutral]
    assert bool(recalls) == (run.name in MEASURED)
    groups = [group for each in recalls for group in (each.seen, each.unseen) if group]
    return [number for group in groups for number in (group.records, group.answer_tokens, group.loss_after)]


@pytest.fixture(name="alone", scope="module")
def _alone(prepared, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict], Path]:
    """The plans, and the folder in which each was run by one rank."""
    folder = tmp_path_factory.mktemp("alone")
    settings = plans(prepared, micro_base, tmp_path_factory.mktemp("data"))
    for name, values in settings.items():
        error = outcome(values | {"run": str(folder / name)})
        assert (error is None) == (name not in ("missing", "truncated", "flipped", "nothing left")), (name, error)
    return settings, folder


@pytest.mark.parametrize("world", [2, 3, 4])
def test_any_number_of_ranks_takes_the_steps_of_one_and_fails_as_one(alone, world: int, tmp_path: Path) -> None:
    settings, folder = alone
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({name: values | {"run": str(tmp_path / name)} for name, values in settings.items()}))
    launcher = ("--num_processes", str(world), "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no")
    training = launch(
        "accelerate.commands.launch",
        *(*launcher, "--dynamo_backend", "no", "--main_process_port", str(free_port())),
        *("-m", "tests.trainer.many_trainings", str(plan)),
        run=tmp_path / "plans",
        ACCELERATE_USE_CPU="true",
    )
    assert training.finish() == 0, training.text()

    outcomes = [json.loads(Path(f"{plan}.{rank}").read_text()) for rank in range(world)]
    assert outcomes == [outcomes[0]] * world  # all ranks ended alike
    for name, error in outcomes[0].items():
        assert shown(tmp_path / name) == shown(folder / name), name
        assert measured(tmp_path / name) == pytest.approx(measured(folder / name), rel=1e-3), name
        if name in ("missing", "truncated", "flipped"):
            shard = read_manifest(settings[name]["data"][0]).splits["train"][1].path
            assert error.startswith(f"shard {shard} is damaged: ")
            assert "--resume" in error
        elif name == "nothing left":
            assert "none of the 80 records could be read" in error
        else:
            assert error is None, (name, error)


def test_what_one_rank_learns_is_what_was_asked_for(alone) -> None:
    """The other half of the test above."""
    _, folder = alone
    rows = {
        name: rows_by_epoch(folder / name) for name in ("one shard", "uneven shards", "three records", "one record")
    }
    assert rows == {
        name: {0: Counter(range(num)), 1: Counter(range(num))} for name, num in zip(rows, (80, 107, 3, 1), strict=True)
    }
    for damage in ("missing", "truncated", "flipped"):
        assert rows_by_epoch(folder / f"{damage}, skipped") == {0: Counter([*range(100), *range(200, 300)])}
        assert sum(line["skipped_records"] for line in read_metrics(folder / f"{damage}, skipped")) == 100
    # All 80 records of the one and 34 of the other in each of three epochs.
    for learnt in rows_by_epoch(folder / "mixture").values():
        assert {row: num for row, num in learnt.items() if row < 80} == dict.fromkeys(range(80), 1)
        assert sum(num for row, num in learnt.items() if row >= 80) == 34
    over_all = sum(rows_by_epoch(folder / "mixture").values(), Counter())
    assert {over_all[row] for row in range(80, 187)} == {0, 1}  # 3 x 34 of 107
    for learnt in rows_by_epoch(folder / "limited mixture").values():
        assert {row for row in learnt if row < 80} == set(range(30))
        assert sum(num for row, num in learnt.items() if row >= 80) == 15
        assert all(row < 80 + 30 for row in learnt)
