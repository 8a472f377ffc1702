"""The names of a run's files. Imports nothing heavy, because the command line reads it, too."""

import re
from pathlib import Path
from typing import Final

CONFIG: Final = "config.json"
ADAPTER: Final = "adapter"
BASE: Final = "base"  # a base that was made for this run
CHECKPOINTS: Final = "checkpoints"
LEDGER: Final = "ledger"
METRICS: Final = "metrics.jsonl"
EVALUATION: Final = "evaluation.json"

# In the order of deletion: first what a resume would start from.
ALL: Final = (CHECKPOINTS, ADAPTER, BASE, METRICS, LEDGER, EVALUATION, CONFIG)

CHECKPOINT_STATE: Final = "state.json"  # in a checkpoint


def checkpoint_name(step: int) -> str:
    """The name of a step's checkpoint: step-000500."""
    return f"step-{step:06d}"


def checkpoint_step(name: str) -> int | None:
    """The step of the checkpoint with this name; None if it is no name of a checkpoint."""
    found = re.fullmatch(r"step-(\d+)", name, re.ASCII)
    return int(found[1]) if found else None


def temporary(path: Path) -> Path:
    """The path under which a file or folder is written before it gets its name, or deleted after it lost it."""
    return path.with_name(f".{path.name}.tmp")
