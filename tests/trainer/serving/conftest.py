"""A trained run, and servers of it in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.configs import small_config
from tests.trainer.serving.servers import Server, serving
from trainer.train import train


@pytest.fixture(name="run", scope="session")
def _run(prepared, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained a few steps: its answers are no good, but other ones than those of its base."""
    run = tmp_path_factory.mktemp("served") / "run"
    train(small_config(prepared, micro_base, run, wording="mixed", max_length=256, max_steps=8, learning_rate=2e-2))
    return run


@pytest.fixture(name="server", scope="session")
def _server(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as `vitrine serve` starts it."""
    with serving(run, log=tmp_path_factory.mktemp("server") / "log") as server:
        yield server
