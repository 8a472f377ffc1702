"""The folder of a training run: what it holds, and what it remembers of how it was made."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from contract.errors import UserError
from contract.manifest import Manifest
from trainer.config import TINY_BASE, TrainConfig
from trainer.metrics import METRICS_NAME

CONFIG_NAME: Final = "config.json"
ADAPTER_NAME: Final = "adapter"
_TINY_NAME: Final = "base"
_OWN_NAMES: Final = (CONFIG_NAME, ADAPTER_NAME, _TINY_NAME, "checkpoints", METRICS_NAME, "evaluation.json")
_PACKAGES: Final = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")


@dataclass(frozen=True)
class RunInfo:
    """RUN/config.json: how a run was made, and what its answers need."""

    config: Mapping[str, Any]
    dataset_id: str
    text_profile: str
    versions: Mapping[str, str]


def check_run(config: TrainConfig) -> None:
    """Changes nothing; UserError if this training would touch an earlier run without being asked to."""
    run = Path(config.run)
    has_run = (run / CONFIG_NAME).exists()
    if run.exists() and not run.is_dir():
        raise UserError(f"{run} is a file, expected a folder for the run")
    if config.resume and not has_run:
        raise UserError(f"nothing to resume: there is no run in {run}; leave out --resume to start one")
    if has_run and not (config.resume or config.overwrite):
        raise UserError(f"{run} holds a run already: give --resume to go on with it, --overwrite to replace it")
    if not has_run and run.exists() and any(path.name not in _OWN_NAMES for path in run.iterdir()):
        raise UserError(f"{run} is not empty and holds no run: give another folder")


def clear_run(config: TrainConfig) -> None:
    """Deletes what an earlier run left in the folder, but for the tiny base."""
    for name in _OWN_NAMES:
        path = Path(config.run) / name
        if path.is_dir() and name != _TINY_NAME:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def write_info(config: TrainConfig, manifest: Manifest) -> None:
    """Writes RUN/config.json."""
    info = RunInfo(
        asdict(config), manifest.dataset_id, manifest.text_profile, {name: version(name) for name in _PACKAGES}
    )
    path = Path(config.run) / CONFIG_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(info), indent=1) + "\n")
    os.replace(temporary, path)


def read_info(run: Path) -> RunInfo:
    """What a run remembers; UserError where there is no run, or it did not get as far as an adapter."""
    try:
        info = RunInfo(**json.loads((run / CONFIG_NAME).read_text()))
    except FileNotFoundError as error:
        raise UserError(f"no run in {run}; make one with 'vitrine train --data DATA --run {run}'") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{run / CONFIG_NAME} is not of a run of this version: {error}") from error
    if not (run / ADAPTER_NAME).is_dir():
        raise UserError(f"{run} has no adapter: its training did not finish; go on with it by --resume")
    return info


def base_of(run: Path, base: str) -> str:
    """Where the run's base lies: the tiny base beside the adapter, any other where the user said."""
    return str(run / _TINY_NAME) if base == TINY_BASE else base
