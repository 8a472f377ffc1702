"""What a run says of itself: one JSON line a step, and one printed line now and then."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from contract import storage
from contract.errors import UserError
from trainer.runs import names


@dataclass(frozen=True)
class StepMetrics:
    """One optimizer step, over all ranks. Times are of rank 0."""

    step: int
    epoch: int
    loss: float  # mean over the step's answer tokens
    grad_norm: float
    learning_rate: float
    records: int
    tokens: int  # without padding
    answer_tokens: int
    cut_records: int  # longer than the window
    cut_tokens: int
    skipped_records: int  # that could not be read, since the step before
    step_s: float
    wait_s: float  # of step_s, waiting for packs
    peak_memory_bytes: int | None  # of the GPU, since the run started


def forget_after(path: Path, *, last_step: int) -> None:
    """Drops the lines after the step that a run goes on from."""
    kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= last_step]
    storage.write_bytes(str(path), "".join(f"{line}\n" for line in kept).encode())


def append_metrics(path: Path, metrics: StepMetrics) -> None:
    """Appends one line."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(metrics)) + "\n")


def log_line(metrics: StepMetrics) -> str:
    """One step for a person to read."""
    memory = f"  {metrics.peak_memory_bytes / 2**30:.1f} GiB" if metrics.peak_memory_bytes else ""
    return (
        f"step {metrics.step}  loss {metrics.loss:.4f}  lr {metrics.learning_rate:.2e}"
        f"  {metrics.tokens / metrics.step_s:,.0f} tokens/s{memory}"
    )


def read_metrics(run: Path) -> list[Mapping[str, float]]:
    """The lines of a run's metrics.jsonl; UserError where there is none."""
    path = run / names.METRICS
    if not path.exists():
        raise UserError(f"no {names.METRICS} in {run}: it is not the folder of a training run")
    return [json.loads(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file that appears line by line: the last one may be in the making, or cut off by a crash."""
    text = path.read_text() if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
