"""The metrics of a run and where they go: a line of JSON for each step, a printed line for some of them.

What comes back of the catalogue is measured now and then; it has a line of its own, `{"step": n, "recall": {...}}`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from accelerate import Accelerator

from command.quantities import format_duration
from contract import storage
from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.runs import names
from trainer.runs.recalls import Probed


@dataclass(frozen=True)
class StepMetrics:
    """One optimizer step, over all ranks. Times are those of the rank that reports."""

    step: int
    epoch: int
    share_done: float  # of the whole run after this step, from 0 to 1
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


_TIMED_STEPS: Final = 6

Metrics: TypeAlias = StepMetrics | Probed
Sink: TypeAlias = Callable[[Metrics], None]


@contextmanager
def open_sinks(config: TrainConfig, accelerator: Accelerator, *, last_step: int) -> Iterator[list[Sink]]:
    """The functions that take the metrics on this rank. The run goes on from `last_step`.

    A tracker is one more of them; what it has to close, it closes at the end of the block.
    """
    sinks: list[Sink] = []
    if accelerator.is_main_process:
        sinks.append(json_lines(Path(config.run) / names.METRICS, last_step=last_step))
    if accelerator.is_local_main_process:
        sinks += [printed_lines(every=config.log_every), printed_duration()]
    yield sinks


def json_lines(path: Path, *, last_step: int) -> Sink:
    """Appends a line for each step and each measurement of recall. Lines after `last_step` are dropped first."""
    kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= last_step]
    storage.write_bytes(str(path), "".join(f"{line}\n" for line in kept).encode())

    def append(metrics: Metrics) -> None:
        line = metrics.to_line() if isinstance(metrics, Probed) else json.dumps(asdict(metrics))
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    return append


def printed_lines(*, every: int) -> Sink:
    """Prints one step of `every` for a person to read, with the recall that was measured last."""
    recall = ""

    def show(metrics: Metrics) -> None:
        nonlocal recall
        if isinstance(metrics, Probed):
            if metrics.seen and metrics.step:
                recall = f"  recall {metrics.seen.whole.value:.0%} whole, {metrics.seen.first_32.value:.0%} first 32"
        elif metrics.step % every == 0:
            memory = f"  {metrics.peak_memory_bytes / 2**30:.1f} GiB" if metrics.peak_memory_bytes else ""
            print(
                f"{metrics.share_done:4.0%}  step {metrics.step}  loss {metrics.loss:.4f}"
                f"  lr {metrics.learning_rate:.2e}  {metrics.tokens / metrics.step_s:,.0f} tokens/s{memory}{recall}",
                flush=True,
            )

    return show


def printed_duration() -> Sink:
    """Prints once how long the rest of the run will take: measured on five steps after the first, which may compile."""
    steps: list[StepMetrics] = []

    def show(metrics: Metrics) -> None:
        if isinstance(metrics, Probed) or len(steps) == _TIMED_STEPS:
            return
        steps.append(metrics)
        if len(steps) == _TIMED_STEPS:
            took_s = sum(step.step_s for step in steps[1:])
            left = (1 - metrics.share_done) / (metrics.share_done - steps[0].share_done)
            print(
                f"about {format_duration(took_s * left)} of training to come, at the speed of this machine", flush=True
            )

    return show


def read_metrics(run: Path) -> list[Mapping[str, float]]:
    """The steps of a run's metrics.jsonl; UserError if there is no such file."""
    return [line for line in _lines(run) if "recall" not in line]


def read_recalls(run: Path) -> list[Probed]:
    """What a run measured of its recall while it trained, in order; UserError if there is no metrics.jsonl."""
    found = [{"step": line["step"], **line["recall"]} for line in _lines(run) if "recall" in line]
    return msgspec.convert(found, list[Probed])


def _lines(run: Path) -> list[Any]:  # of two kinds
    path = run / names.METRICS
    if not path.exists():
        raise UserError(f"no {names.METRICS} in {run}: it is not the folder of a training run")
    return [json.loads(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file that is being written: the last one may be incomplete."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
