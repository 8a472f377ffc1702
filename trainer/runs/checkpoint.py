"""Checkpoints of a run: adapter, optimizer and cursor, written whole or not at all."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from contract.errors import UserError
from trainer.runs import names
from trainer.stream.cursor import Cursor, differences

_WEIGHTS: Final = "adapter_model.safetensors"
_OPTIMIZER: Final = "optimizer.pt"
# What json, safetensors and torch raise where a file is not what they wrote, or cannot be read or written.
_FILE_ERRORS: Final = (OSError, RuntimeError, SafetensorError)
_FORMAT_ERRORS: Final = (ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError)


@dataclass(frozen=True)
class Progress:
    """How far a run is, and what it left out on the way."""

    step: int
    cursor: Cursor
    cut_records: int = 0  # longer than the window
    skipped_records: int = 0  # that could not be read


def save_checkpoint(
    run: Path, model: PeftModel, optimizer: torch.optim.Optimizer, progress: Progress, *, identity: dict[str, Any]
) -> Path:
    """RUN/checkpoints/step-000500, which appears in one step. `identity` names what a resume must agree on."""
    folder = run / names.CHECKPOINTS / names.checkpoint_name(progress.step)

    def write(temporary: Path) -> None:
        model.save_pretrained(temporary, save_embedding_layers=False)
        torch.save(optimizer.state_dict(), temporary / _OPTIMIZER)
        state = vars(progress) | {"cursor": progress.cursor.to_json(), "identity": identity}
        (temporary / names.CHECKPOINT_STATE).write_text(json.dumps(state, indent=1))

    _write_folder(folder, write)
    return folder


def save_adapter(model: PeftModel, folder: Path) -> None:
    """A standard PEFT adapter, which appears in one step."""
    _write_folder(folder, lambda temporary: model.save_pretrained(temporary, save_embedding_layers=False))


def find_last(run: Path) -> Path | None:
    """The folder of the run's last whole checkpoint, if it has one."""
    whole = (path for path in (run / names.CHECKPOINTS).glob("*") if _is_whole(path))
    return max(whole, key=lambda path: names.checkpoint_step(path.name) or 0, default=None)


def load_checkpoint(
    folder: Path, model: PeftModel, optimizer: torch.optim.Optimizer, *, identity: dict[str, Any]
) -> Progress:
    """Puts model and optimizer where the checkpoint was; UserError names every difference to what this run is."""
    try:
        state = json.loads((folder / names.CHECKPOINT_STATE).read_text())
        weights = load_file(folder / _WEIGHTS)
        moments = torch.load(folder / _OPTIMIZER, map_location=model.device, weights_only=True)
        before = state.pop("identity")
        progress = Progress(**state | {"cursor": Cursor.from_json(state["cursor"])})
    except (*_FILE_ERRORS, *_FORMAT_ERRORS) as error:
        raise UserError(
            f"{folder} cannot be read ({type(error).__name__}: {error}); delete it to go on from the one before it"
        ) from error
    if different := differences(before, identity):
        raise UserError(f"{folder} cannot be resumed: " + "; ".join(different))
    set_peft_model_state_dict(model, weights)
    optimizer.load_state_dict(moments)
    return progress


def _is_whole(folder: Path) -> bool:
    is_named = names.checkpoint_step(folder.name) is not None
    return is_named and all((folder / name).is_file() for name in (names.CHECKPOINT_STATE, _WEIGHTS, _OPTIMIZER))


def _write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """A folder that appears whole and on the disk, or not at all; UserError where it cannot be written.

    It may take the place of another one, which is then gone for a moment: no step is saved again while its checkpoint
    is whole, and a run whose adapter is gone has its last checkpoint.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        write(temporary)
        for path in (*temporary.iterdir(), temporary):
            _flush(path)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
        _flush(folder.parent)
    except _FILE_ERRORS as error:
        raise UserError(
            f"{folder} could not be written: {error}; make room for it, then go on with --resume"
        ) from error


def _flush(path: Path) -> None:
    """To the disk, with its name if it is a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
