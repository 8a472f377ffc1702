"""What the files of a run are called. Imports nothing heavy: the command line asks, too."""

import re
from typing import Final

CONFIG: Final = "config.json"
ADAPTER: Final = "adapter"
BASE: Final = "base"  # a base that was made for this run
CHECKPOINTS: Final = "checkpoints"
LEDGER: Final = "ledger"
METRICS: Final = "metrics.jsonl"
TRIALS: Final = "precision.json"
EVALUATION: Final = "evaluation.json"

# In the order in which they are deleted: what a resume goes on from first.
ALL: Final = (CHECKPOINTS, ADAPTER, BASE, METRICS, LEDGER, TRIALS, EVALUATION, CONFIG)

CHECKPOINT_STATE: Final = "state.json"  # of a checkpoint, written last


def checkpoint_name(step: int) -> str:
    """step-000500."""
    return f"step-{step:06d}"


def checkpoint_step(name: str) -> int | None:
    """The step of the checkpoint of this name; None where it is no checkpoint's."""
    found = re.fullmatch(r"step-(\d+)", name, re.ASCII)
    return int(found[1]) if found else None
