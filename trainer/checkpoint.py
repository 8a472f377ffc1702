"""Checkpoints of a run: adapter, optimizer and cursor, written whole or not at all."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file

from contract.errors import UserError
from trainer.stream import Cursor

ADAPTER_FOLDER = "adapter"
_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    cursor: Cursor


def save_checkpoint(
    run: Path, model: PeftModel, optimizer: torch.optim.Optimizer, progress: Progress, *, identity: dict[str, Any]
) -> Path:
    """RUN/checkpoints/step-000500, which appears in one step. `identity` names what a resume must agree on."""
    folder = run / "checkpoints" / f"step-{progress.step:06d}"
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    save_adapter(model, temporary)
    torch.save(optimizer.state_dict(), temporary / "optimizer.pt")
    state = {"step": progress.step, "cursor": progress.cursor.to_json(), "identity": identity}
    (temporary / "state.json").write_text(json.dumps(state, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
    return folder


def save_adapter(model: PeftModel, folder: Path) -> None:
    """A standard PEFT adapter."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, save_embedding_layers=False)


def find_last(run: Path) -> Path | None:
    """The folder of the run's last checkpoint, if it has one."""
    return max((run / "checkpoints").glob("step-*"), default=None)


def load_checkpoint(
    folder: Path, model: PeftModel, optimizer: torch.optim.Optimizer, *, identity: dict[str, Any]
) -> Progress:
    """Puts model and optimizer where the checkpoint was; UserError names every difference to what this run is."""
    state = json.loads((folder / "state.json").read_text())
    different = [
        f"{name} was {state['identity'].get(name)!r} and is {value!r}"
        for name, value in identity.items()
        if state["identity"].get(name) != value
    ]
    if different:
        raise UserError(f"{folder} cannot be resumed: " + "; ".join(different))
    set_peft_model_state_dict(model, load_file(folder / _WEIGHTS))
    optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location=model.device, weights_only=True))
    return Progress(state["step"], Cursor.from_json(state["cursor"]))
