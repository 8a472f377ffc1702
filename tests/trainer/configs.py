"""Settings of trainings that take a second."""

from pathlib import Path

from trainer.config import TrainConfig


def small_config(prepared, base: Path, run: Path, **changes) -> TrainConfig:
    values = {
        "recipe": "seed",
        "wording": "what-is",  # the shortest
        "max_length": 128,
        "tokens_per_step": 512,
        "learning_rate": 5e-3,
        "limit": 60,
        "log_every": 1_000,
        "recall": False,
    }
    return TrainConfig(data=(prepared.root,), run=str(run), base=str(base), **{**values, **changes})
