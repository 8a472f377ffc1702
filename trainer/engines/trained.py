"""A trained adapter, loaded onto its base with the values of its file."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import PeftModel, set_peft_model_state_dict
from peft.utils import load_peft_weights
from safetensors import SafetensorError
from transformers import PreTrainedModel

from contract.errors import UserError


def with_adapter(model: PreTrainedModel, adapter: str, *, name: str) -> PeftModel:
    """The model with the adapter in this folder; UserError where it cannot be loaded, or lacks weights."""
    with _loading(adapter), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys")  # which is an error here
        adapted = PeftModel.from_pretrained(model, adapter, adapter_name=name, low_cpu_mem_usage=True)
        _complete(adapted, adapter, name=name)
    return adapted


def add_adapter(model: PeftModel, adapter: str, *, name: str) -> None:
    """Adds the adapter in this folder; UserError where it cannot be loaded or lacks weights, and is not added."""
    try:
        with _loading(adapter):
            model.load_adapter(adapter, adapter_name=name, low_cpu_mem_usage=True)
            _complete(model, adapter, name=name)
    except UserError:
        if name in model.peft_config:  # PEFT 0.21 adds an adapter before it reads the weights
            model.delete_adapter(name)
        raise


def require_adapter(adapter: str) -> None:
    """Raises UserError if this folder lacks an adapter's weights; PEFT would look for them on the hub."""
    if not (Path(adapter) / "adapter_model.safetensors").is_file():
        raise UserError(
            f"no adapter could be loaded from {adapter}: it holds no adapter_model.safetensors, which --resume writes"
            " again from the last checkpoint"
        )


@contextlib.contextmanager
def _loading(adapter: str) -> Iterator[None]:
    require_adapter(adapter)
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"no adapter could be loaded from {adapter}: {error}") from error


def _complete(model: PeftModel, adapter: str, *, name: str) -> None:
    """Sees to all values after a load with `low_cpu_mem_usage`; ValueError where the file lacks some.

    Without that option PEFT draws random values for every matrix before it reads them: 5 s of a core for a small base
    with an adapter of rank 256. With it, PEFT 0.21 rounds what it has read to the type of the base.
    """
    if lacking := [key for key, weight in model.named_parameters() if weight.is_meta]:
        raise ValueError(f"its file lacks weights: {', '.join(lacking[:3])}{' …' if len(lacking) > 3 else ''}")
    if model.dtype != torch.float32:
        weights = load_peft_weights(adapter, device=str(model.device))
        set_peft_model_state_dict(model, weights, adapter_name=name)
