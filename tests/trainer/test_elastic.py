"""Real ranks under `accelerate launch`: what they learn when they are killed, resumed on other numbers, or misled."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import made_up_pairs
from tests.spark_jobs.processes import IS_LINUX
from tests.trainer.audits import damage_shard, ledger_text, losses, rows_by_epoch
from tests.trainer.launches import KILLS, Training, launch
from tests.trainer.many_trainings import outcome
from trainer.answers.settings import EvaluateConfig
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.schema import read_evaluation
from trainer.runs import names
from trainer.runs.checkpoint import find_last
from trainer.runs.metrics import read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not IS_LINUX, reason="looks for processes as Linux shows them")]

EPOCHS = max(6, KILLS // 2)  # of 27 steps, some of which pass before a kill takes effect
SIZES = {
    "recipe": "seed",
    "max_length": 128,
    "tokens_per_step": 512,
    "ledger": True,
    "save_every": 2,
    "log_every": 1_000,
}


def begin(data: str, base: Path, run: Path, *options: str, num_processes: int) -> Training:
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items() if name != "ledger"]
    options = ("train", "--data", data, "--base", str(base), "--ledger", *sizes, *options)
    return launch("launch.cli", *options, run=run, num_processes=num_processes)


@pytest.fixture(name="begin_run", scope="module")
def _begin_run(prepared, micro_base: Path):
    return partial(begin, prepared.root, micro_base)


@pytest.fixture(name="whole", scope="module")
def _whole(begin_run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two ranks that never stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    training = begin_run(run, "--epochs", str(EPOCHS), num_processes=2)
    assert training.finish() == 0, training.text()
    assert rows_by_epoch(run) == {epoch: Counter(range(300)) for epoch in range(EPOCHS)}
    return run


def wait_for_step(training: Training, step: int) -> bool:
    """Whether the training, once it has begun, tells of this step before it ends."""
    while training.process.poll() is None:
        has_begun = "packs a step" in training.text() and (training.output / "metrics.jsonl").exists()
        if has_begun and len(read_metrics(training.output)) >= step:
            return True
        time.sleep(0.01)
    return False


def kill_one_rank(training: Training, draw: random.Random) -> None:
    """The launcher has to end the others, which wait for it."""
    ranks = [pid for pid in training.pids("trainer.train") if b"accelerate" not in command_of(pid)]
    os.kill(draw.choice(ranks), signal.SIGKILL)
    assert training.finish() != 0


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.timeout(300 + 60 * KILLS)
def test_runs_killed_at_any_moments_on_any_ranks_learn_the_same_steps(begin_run, whole: Path, tmp_path: Path) -> None:
    draw, run, world, num_kills = random.Random(KILLS), tmp_path / "run", 2, 0
    options = ("--epochs", str(EPOCHS))
    while num_kills < KILLS:
        is_claimed = (run / "config.json").exists()
        training = begin_run(run, *options, *["--resume"] * is_claimed, num_processes=world)
        last = find_last(run)
        saved = int(last.name.removeprefix("step-")) if last else 0
        if num_kills % 5 == 4:  # while it starts
            time.sleep(draw.uniform(0, 10))
        else:
            assert wait_for_step(training, saved + draw.randint(1, 4)), training.text()
            time.sleep(draw.uniform(0, 0.15))
        if num_kills % 5 == 1 and world > 1:
            kill_one_rank(training, draw)
        else:
            training.kill()
        num_kills += 1
        world = draw.choice([number for number in (1, 2, 3, 4) if number != world])
    training = begin_run(run, *options, *["--resume"] * (run / "config.json").exists(), num_processes=world)
    assert training.finish() == 0, training.text()

    assert ledger_text(run) == ledger_text(whole)
    assert [line["records"] for line in read_metrics(run)] == [line["records"] for line in read_metrics(whole)]
    assert losses(run) == pytest.approx(losses(whole), rel=1e-3)


def test_a_run_killed_and_resumed_on_as_many_ranks_has_the_losses_of_one_that_never_stopped(
    begin_run, whole: Path, tmp_path: Path
) -> None:
    """To the last bit, so those of two runs with one seed, too."""
    run = tmp_path / "run"
    options = ("--epochs", str(EPOCHS))
    training = begin_run(run, *options, num_processes=2)
    assert wait_for_step(training, 7), training.text()
    training.kill()
    assert losses(run)[:7] == losses(whole)[:7]
    (run / names.LEDGER / ".from-00000007.jsonl.half-written.tmp").touch()
    training = begin_run(run, *options, "--resume", num_processes=2)
    assert training.finish() == 0, training.text()

    assert f"going on from {run}/checkpoints/step-" in training.text()
    assert losses(run) == losses(whole)
    assert ledger_text(run) == ledger_text(whole)
    assert not list((run / names.LEDGER).glob(".*"))


def test_a_shard_that_is_damaged_on_the_way_stops_all_ranks_and_can_be_skipped(
    prepared, micro_base: Path, tmp_path: Path
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(prepared.root, data)
    settings = {"data": [str(data)], "base": str(micro_base), "run": str(run), **SIZES}
    assert outcome(settings | {"max_steps": 6}) is None
    saved = find_last(run)
    assert saved is not None
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    shard = damage_shard(data, prepared.manifest, "flipped")

    # A limit on steps that is not given again would be that of the first part.
    training = begin(str(data), micro_base, run, "--resume", "--max-steps", "1000", num_processes=2)
    assert training.finish() == 2, training.text()
    *lines, error = training.text().splitlines()
    assert error.startswith(f"error: shard {shard} is damaged")  # once, and without what the launcher has to say
    assert not [line for line in lines if "rror" in line]
    assert find_last(run) == saved
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before

    options = ("--resume", "--skip-damaged", "--max-steps", "1000")
    training = begin(str(data), micro_base, run, *options, num_processes=2)
    assert training.finish() == 0, training.text()
    learnt = rows_by_epoch(run)[0]
    assert set(learnt.values()) == {1}
    assert learnt.keys() >= {*range(100), *range(200, 300)}
    assert f"{300 - len(learnt)} times a record could not be read and was skipped" in training.text()
    assert sum(line["skipped_records"] for line in read_metrics(run)) == 300 - len(learnt)


@pytest.mark.parametrize("num_processes", [1, 2])
def test_no_rank_outlives_its_command(begin_run, tmp_path: Path, num_processes: int) -> None:
    training = begin_run(tmp_path / "run", "--epochs", "1000", num_processes=num_processes)
    assert wait_for_step(training, 2), training.text()
    assert training.pids("trainer.train")

    os.kill(training.process.pid, signal.SIGKILL)
    training.wait_for_nobody(within_s=30)
    training.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_told_to_stop_writes_a_checkpoint_and_says_how_to_go_on(
    begin_run, whole: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """All ranks alike; what follows is what a run that never stopped has trained, to the last bit."""
    run, options = tmp_path / "run", ("--epochs", str(EPOCHS), "--save-every", "500")
    training = begin_run(run, *options, num_processes=2)
    assert wait_for_step(training, 4), training.text()

    os.kill(training.process.pid, number)
    assert training.finish() == 128 + number
    last = find_last(run)
    assert last is not None
    step = int(last.name.removeprefix("step-"))
    assert step >= 4
    lines = training.text().partition("\nexpected: ")[2].splitlines()
    assert len(lines) <= 7  # nothing of what the launchers have to say
    assert [line for line in lines if "stop" in line] == [
        "stopping after the next steps, with a checkpoint; a second signal stops at once",
        f"stopped after step {step}, with a checkpoint; go on with 'vitrine train --run {run} --resume'",
    ]
    assert len(read_metrics(run)) == step

    training = launch("launch.cli", "train", "--resume", run=run, num_processes=2)
    assert training.finish() == 0, training.text()
    assert ledger_text(run) == ledger_text(whole)
    assert losses(run) == losses(whole)


def test_a_crash_is_told_by_the_launcher(begin_run, tmp_path: Path) -> None:
    training = begin_run(tmp_path / "run", "--epochs", "1000", num_processes=2)
    assert wait_for_step(training, 2), training.text()

    kill_one_rank(training, random.Random(0))
    assert "Signal 9 (SIGKILL)" in training.text()


def test_a_process_that_is_killed_is_told_by_the_command(begin_run, tmp_path: Path) -> None:
    training = begin_run(tmp_path / "run", "--epochs", "1000", num_processes=1)
    assert wait_for_step(training, 2), training.text()

    kill_one_rank(training, random.Random(0))
    assert training.text().splitlines()[-1] == (
        "error: train was ended from outside (exit code 1), most often by the system for lack of memory; --resume goes"
        " on from the last checkpoint"
    )


def test_a_mixture_is_learnt_by_weight_and_evaluated(
    prepared, other_prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    options = ("--data", f"{other_prepared.root}:0.3", "--epochs", "2")
    training = begin(f"{prepared.root}:0.7", micro_base, run, *options, num_processes=2)
    assert training.finish() == 0, training.text()

    told = f"66 records (46 of 300 of {prepared.root}, 20 of 20 of {other_prepared.root}) x 2 epochs"
    assert told in training.text()
    learnt = rows_by_epoch(run)
    for rows in learnt.values():
        assert Counter(row < 300 for row in rows.elements()) == {True: 46, False: 20}
    over_both = learnt[0] + learnt[1]
    assert {over_both[row] for row in range(300)} == {0, 1}  # what an epoch left, the next one takes
    assert {over_both[row] for row in range(300, 320)} == {2}

    evaluate(EvaluateConfig(run=str(run), seen=1_000, unseen=1, max_new_tokens=1))
    assert "asking: 66 titles" in capsys.readouterr().err
    titles = [title for title, _ in (*made_up_pairs(312)[:300], *made_up_pairs(20))]
    asked = [each.title for each in read_evaluation(run).titles if each.kind == "seen"]
    assert sorted(asked) == sorted(titles[row] for row in learnt[0])
