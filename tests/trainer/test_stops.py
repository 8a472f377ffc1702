"""A training that a signal stops, or that saves by the clock, goes on as if it had never stopped."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from command.signals import StoppedError
from tests.trainer.audits import ledger_text, losses
from tests.trainer.configs import small_config
from trainer import loop
from trainer.runs.checkpoint import find_last
from trainer.train import train

STEPS = 8  # at least, of 60 records twice


@pytest.fixture(name="whole", scope="module")
def _whole(prepared, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    train(small_config(prepared, micro_base, run, epochs=2, ledger=True))
    assert len(losses(run)) >= STEPS
    return run


def signal_at(step: int, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends a signal to this process, while it trains that step."""
    train_step = loop.train_step

    def signalled(state, batches, **options):
        if options["step"] == step:
            os.kill(os.getpid(), number)
        return train_step(state, batches, **options)

    monkeypatch.setattr(loop, "train_step", signalled)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 3, STEPS - 3])
def test_a_signal_stops_a_training_after_a_checkpoint_from_which_it_goes_on(
    prepared, micro_base: Path, whole: Path, tmp_path: Path, step: int, number: signal.Signals
) -> None:
    run = tmp_path / "a run"
    config = small_config(prepared, micro_base, run, epochs=2, ledger=True)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.MonkeyPatch.context() as patches:
        signal_at(step, number, patches)
        with pytest.raises(StoppedError, match=f"go on with 'vitrine train --run '{run}' --resume'") as stopped:
            train(config)

    last = find_last(run)
    assert last is not None
    saved = int(last.name.removeprefix("step-"))
    assert step <= saved <= step + 2
    assert str(stopped.value).startswith(f"stopped after step {saved}, with a checkpoint")
    assert stopped.value.number == number
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    assert not (run / "adapter").exists()

    train(replace(config, resume=True))
    assert ledger_text(run) == ledger_text(whole)
    assert losses(run) == losses(whole)


def test_a_signal_at_the_last_step_stops_nothing(
    prepared, micro_base: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    signal_at(len(losses(whole)), signal.SIGTERM, monkeypatch)
    train(small_config(prepared, micro_base, run, epochs=2, ledger=True))

    assert ledger_text(run) == ledger_text(whole)
    assert (run / "adapter").is_dir()


def test_a_checkpoint_by_the_clock_is_replaced_by_the_next_one(
    prepared, micro_base: Path, whole: Path, tmp_path: Path
) -> None:
    """Those of save_every stay."""
    run = tmp_path / "run"
    config = small_config(prepared, micro_base, run, epochs=2, ledger=True, save_every=5, save_minutes=1e-9)
    steps = []
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.001):
            found = {path.name for path in (run / "checkpoints").glob("step-*")}
            steps.extend(found.difference(steps))

    watcher = threading.Thread(target=watch)
    watcher.start()
    train(config)
    watching.set()
    watcher.join()

    last = len(losses(run))
    assert {path.name for path in (run / "checkpoints").iterdir()} == {
        f"step-{step:06d}" for step in (*range(5, last, 5), last)
    }
    assert len(steps) > last // 5 + 2  # some were there for a while
    assert ledger_text(run) == ledger_text(whole)


def test_the_clock_asks_for_no_checkpoint_before_its_time(
    prepared, micro_base: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(small_config(prepared, micro_base, run, epochs=2, ledger=True))

    assert [path.name for path in (run / "checkpoints").iterdir()] == [f"step-{len(losses(whole)):06d}"]
