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
EXPECTATION: Final = "expectation.json"
RATES: Final = "rates.json"
EVALUATION: Final = "evaluation.json"
EVALUATION_PAGE: Final = "evaluation.html"
RECALL: Final = "recall.json"
PROMPT: Final = "prompt.json"  # beside an adapter

# In the order of deletion: first what a resume would start from.
ALL: Final = (
    CHECKPOINTS,
    ADAPTER,
    BASE,
    METRICS,
    EXPECTATION,
    RATES,
    LEDGER,
    EVALUATION,
    EVALUATION_PAGE,
    RECALL,
    CONFIG,
)

# Of a run in parts: what it knows of all parts, and their data sets. Each part has the folder of a run below it.
PARTS: Final = "parts.json"
PART_DATA: Final = "part-data"

_LEFT_OVER: Final = re.compile(rf"\.({'|'.join(map(re.escape, (*ALL, PARTS, PART_DATA)))}|part-\d{{3}})\..*tmp")

CHECKPOINT_STATE: Final = "state.json"  # in a checkpoint


def checkpoint_name(step: int) -> str:
    """The name of a step's checkpoint: step-000500."""
    return f"step-{step:06d}"


def checkpoint_step(name: str) -> int | None:
    """The step of the checkpoint with this name; None if it is no name of a checkpoint."""
    found = re.fullmatch(r"step-(\d+)", name, re.ASCII)
    return int(found[1]) if found else None


def part_name(part: int) -> str:
    """The name of the folder of a part, counted from 0: part-000."""
    return f"part-{part:03d}"


def is_part(name: str) -> bool:
    """Whether this is the name of the folder of a part."""
    return re.fullmatch(r"part-\d{3}", name, re.ASCII) is not None


def is_of_parts(name: str) -> bool:
    """Whether a run in parts has a file or folder of this name."""
    return name in (PARTS, PART_DATA) or is_part(name)


def is_left_over(name: str) -> bool:
    """Whether a run that was killed left a file or folder of this name half written or half deleted."""
    return _LEFT_OVER.fullmatch(name) is not None


def temporary(path: Path) -> Path:
    """The path under which a file or folder is written before it gets its name, or deleted after it lost it."""
    return path.with_name(f".{path.name}.tmp")
