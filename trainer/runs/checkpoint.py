"""Checkpoints of a run: adapter, optimizer and state, written whole or not at all."""

import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerBase

from contract import storage
from contract.errors import UserError
from trainer.examples.prompt import PromptForm
from trainer.runs import names
from trainer.runs.json_files import write_json
from trainer.runs.settings import changed_settings
from trainer.stream.cursor import Cursor

_WEIGHTS: Final = "adapter_model.safetensors"
_OPTIMIZER: Final = "optimizer.pt"
# What msgspec, safetensors and torch raise for a file that is not as it was written, or cannot be read or written.
_FILE_ERRORS: Final = (OSError, RuntimeError, SafetensorError)
_FORMAT_ERRORS: Final = (ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError)


class LossScale(msgspec.Struct, frozen=True):
    """The factor of losses in float16, without which small gradients would be rounded to zero."""

    value: float
    steps: int = 0  # since the value last changed


class RunState(msgspec.Struct, frozen=True):
    """How far a run is, and what it left out so far."""

    step: int
    cursor: Cursor
    identity: Mapping[str, Any]  # what a resume must agree on
    cut_records: int = 0  # longer than the window
    skipped_records: int = 0  # that could not be read
    loss_scale: LossScale | None = None  # in float16 only


def save_checkpoint(run: Path, state: RunState, *, model: PeftModel, optimizer: torch.optim.Optimizer) -> Path:
    """Writes RUN/checkpoints/step-000500, which appears whole or not at all, and returns its path."""
    folder = run / names.CHECKPOINTS / names.checkpoint_name(state.step)

    def write(temporary: Path) -> None:
        model.save_pretrained(temporary, save_embedding_layers=False)
        torch.save(optimizer.state_dict(), temporary / _OPTIMIZER)
        document = msgspec.structs.asdict(state) | {"cursor": state.cursor.to_json()}
        write_json(temporary / names.CHECKPOINT_STATE, document)

    _write_folder(folder, write)
    return folder


def save_adapter(
    model: PeftModel, folder: Path, *, tokenizer: PreTrainedTokenizerBase, forms: Mapping[str, PromptForm]
) -> None:
    """Writes a standard PEFT adapter, which appears whole or not at all.

    Beside it lie the tokenizer and prompt.json: by the name of each trained wording, the text before and after a title.
    """

    def write(temporary: Path) -> None:
        model.save_pretrained(temporary, save_embedding_layers=False)
        tokenizer.save_pretrained(temporary)
        write_json(temporary / names.PROMPT, forms)

    _write_folder(folder, write)


def find_last(run: Path) -> Path | None:
    """The folder of the run's last whole checkpoint, if it has one."""
    whole = (path for path in (run / names.CHECKPOINTS).glob("*") if _is_whole(path))
    return max(whole, key=lambda path: names.checkpoint_step(path.name) or 0, default=None)


def last_state(run: Path) -> RunState:
    """How far a run is by its last whole checkpoint; UserError if it has none."""
    folder = find_last(run)
    if folder is None:
        raise UserError(f"{run} has no checkpoint, which says what records it has trained; train it again")
    try:
        document = msgspec.json.decode((folder / names.CHECKPOINT_STATE).read_bytes(), type=dict[str, Any])
        return msgspec.convert(document, RunState, str_keys=True)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UserError(f"{folder / names.CHECKPOINT_STATE} cannot be read: {error}") from error


def load_checkpoint(
    folder: Path, *, model: PeftModel, optimizer: torch.optim.Optimizer, identity: Mapping[str, Any]
) -> RunState:
    """Loads a checkpoint into the model and the optimizer; returns its state, with the identity of this run.

    UserError names every setting of the identity that differs.
    """
    try:
        document = msgspec.json.decode((folder / names.CHECKPOINT_STATE).read_bytes(), type=dict[str, Any])
        weights = load_file(folder / _WEIGHTS)
        moments = torch.load(folder / _OPTIMIZER, map_location=model.device, weights_only=True)
        document.setdefault("loss_scale", _take_loss_scale(moments))
        state = msgspec.convert(document, RunState, str_keys=True)
    except (*_FILE_ERRORS, *_FORMAT_ERRORS) as error:
        raise UserError(
            f"{folder} cannot be read ({type(error).__name__}: {error}); delete it to go on from the one before it"
        ) from error
    if different := changed_settings(state.identity, identity):
        raise UserError(f"{folder} cannot be resumed: " + "; ".join(different))
    set_peft_model_state_dict(model, weights)
    optimizer.load_state_dict(moments)
    return msgspec.structs.replace(state, identity=identity)


def _take_loss_scale(moments: dict[str, Any]) -> LossScale | None:
    """Removes and returns the loss scale of an optimizer's state, where older checkpoints kept it."""
    group = moments["param_groups"][0]
    value, steps = group.pop("loss_scale", None), group.pop("steps_at_loss_scale", 0)
    return None if value is None else LossScale(value, steps)


def _is_whole(folder: Path) -> bool:
    is_named = names.checkpoint_step(folder.name) is not None
    return is_named and all((folder / name).is_file() for name in (names.CHECKPOINT_STATE, _WEIGHTS, _OPTIMIZER))


def _write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder that appears whole and flushed to the disk, or not at all; UserError where that fails.

    It may replace an older folder, which is then gone for a moment. That is safe: no step is saved again while its
    checkpoint is whole, and a run without its adapter still has its last checkpoint.
    """
    temporary = names.temporary(folder)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        write(temporary)
        for path in (*temporary.iterdir(), temporary):
            storage.flush(path)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
        storage.flush(folder.parent)
    except _FILE_ERRORS as error:
        raise UserError(
            f"{folder} could not be written: {error}; make room for it, then go on with --resume"
        ) from error
