"""Unsloth as an engine: its loading, its LoRA, its kernels and its loss, on our packs and their boundaries.

Unsloth changes torch, transformers and PEFT for the whole process and may end the process. So another process tries
it first (`trainer.engines.unsloth_probe`). Parts of Unsloth are under the AGPL: it is imported only where the user has
installed it, and asks for it or can run nothing faster; none of its code is copied.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import torch
from accelerate.utils import broadcast_object_list
from peft import PeftModel
from torch import Tensor
from torch.nn import Parameter

from contract.errors import UserError, first_line
from contract.installation import install_text
from trainer.config import TrainConfig
from trainer.engines.base import compute_dtype_of, logit_leakage
from trainer.engines.scores import joined, scores_of_pack
from trainer.examples.encoder import Example, Pack
from trainer.examples.tensors import pack_tensors
from trainer.muon import Matrices, peft_matrices
from trainer.native import Scores
from trainer.native.trial import find_fit, measured_bytes, memory_room
from trainer.recipes.recipe import Recipe

PROBE_S: Final = 300
# Variables that make a process one rank of several. The probe runs without them.
_RANK_NAMES: Final = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class UnslothEngine:
    """FastLanguageModel, at most `tokens_per_batch` tokens of whole packs at a time, or a single pack."""

    model: PeftModel
    tokens_per_batch: int
    name: str = "unsloth"

    def parameters(self) -> list[Parameter]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def matrices(self, tensors: Sequence[Tensor]) -> Matrices:
        return peft_matrices(self.model, tensors)

    def batches(self, packs: Sequence[Pack]) -> list[Pack]:
        return joined([pack for pack in packs if pack.num_answer_tokens], max_tokens=self.tokens_per_batch)

    def loss(self, batch: Pack) -> Tensor:
        ids_T, positions_T, labels_T = pack_tensors(batch, device=self.model.device)
        lengths = [len(example.ids) for example in batch.examples]
        with self._autocast():
            output = self.model(**_inputs(ids_T, positions_T, lengths), labels=labels_T[None], num_items_in_batch=1)
        return output.loss

    def scores(self, batch: Pack) -> Scores:
        return scores_of_pack(
            batch,
            lambda ids_T, at_T, lengths, answers_A: self._logits(ids_T, at_T, lengths)[answers_A],
            model=self.model,
        )

    def document_leakage(self, vocabulary: int) -> float:
        return logit_leakage(self._logits, self.model, vocabulary=vocabulary, device=self.model.device)

    def export_adapter(self) -> None:
        """Nothing to do: the PEFT model's adapter is the one that is trained."""

    def import_adapter(self) -> None:
        """Nothing to do: the PEFT model's adapter is the one that is trained."""

    def _logits(self, ids_T: Tensor, positions_T: Tensor, lengths: Sequence[int]) -> Tensor:
        with self._autocast():
            return self.model(**_inputs(ids_T, positions_T, lengths)).logits[0]

    def _autocast(self) -> AbstractContextManager[None]:
        # The adapter is in float32; Unsloth's kernels read the type of matrix products from autocast.
        is_half = self.model.dtype != torch.float32
        return torch.autocast(self.model.device.type, dtype=self.model.dtype, enabled=is_half)


def load_unsloth(base: str, config: TrainConfig, *, recipe: Recipe, device: torch.device) -> UnslothEngine:
    """The base in NF4 with a freshly initialised adapter on all linear layers, both loaded by Unsloth.

    Unsloth computes layers again in the backward pass only where a pack would not fit otherwise. UserError where it
    cannot load the base.
    """
    unsloth = import_unsloth(device)
    try:
        # Without a device map: Unsloth chooses the rank's own GPU by itself, and must be given none.
        model, _ = unsloth.FastLanguageModel.from_pretrained(
            base,
            max_seq_length=recipe.max_length,
            dtype=compute_dtype_of(config.compute_type, device),
            load_in_4bit=True,
            random_state=config.seed,
        )
        model = unsloth.FastLanguageModel.get_peft_model(
            model,
            r=recipe.lora_rank,
            target_modules="all-linear",
            lora_alpha=recipe.lora_alpha,
            lora_dropout=config.lora_dropout,
            use_gradient_checkpointing=False,
            random_state=config.seed,
        )
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"Unsloth cannot load {base!r}: {first_line(error)}") from error
    return UnslothEngine(model, config.tokens_per_batch or _fit_to_memory(model, recipe))


def require_unsloth_installed() -> None:
    """Raises UserError where Unsloth is not installed. Does not import it."""
    if importlib.util.find_spec("unsloth") is None:
        raise UserError(f"Unsloth is not installed; {install_text('unsloth')}")


def require_unsloth(device_type: str) -> None:
    """Raises UserError where Unsloth cannot train here. Rank 0 tries it in a process of its own. Collective."""
    problem = None
    if os.environ.get("RANK", "0") == "0":
        try:
            _probe(device_type)
        except UserError as error:
            problem = str(error)
    if problem := broadcast_object_list([problem])[0]:
        raise UserError(problem)


def import_unsloth(device: torch.device) -> Any:  # a module that may not be there
    """Unsloth, set to send no statistics and to leave no files behind. From here on it has changed this process."""
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", _compiled().name)
    if device.type != "cuda":
        os.environ["UNSLOTH_FORCE_CPU"] = "1"
    with warnings.catch_warnings():
        # It asks to be imported first, so that it can patch other libraries' trainers. None of them is used here.
        warnings.filterwarnings("ignore", message=".*Unsloth should be imported before")
        return importlib.import_module("unsloth")


@cache
def _compiled() -> tempfile.TemporaryDirectory[str]:
    """The folder where Unsloth writes Python files and runs them; it is removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="vitrine-unsloth-")


def _probe(device_type: str) -> None:
    require_unsloth_installed()
    environment = {name: value for name, value in os.environ.items() if name not in _RANK_NAMES}
    command = [sys.executable, "-m", "trainer.engines.unsloth_probe", device_type]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PROBE_S)
    except subprocess.TimeoutExpired:
        raise UserError(f"Unsloth did not train a small model within {PROBE_S} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["nothing on stderr"]
        raise UserError(f"Unsloth fails on a small model (exit code {done.returncode}): {lines[-1]}")


def _fit_to_memory(model: PeftModel, recipe: Recipe) -> int:
    device = model.device
    if device.type != "cuda":
        return recipe.max_length

    def measure(tokens: int, num_recomputed: int) -> int | None:
        model.for_training(use_gradient_checkpointing="unsloth" if num_recomputed else False)
        length = recipe.max_length
        packs = Pack(tuple(Example(row, [1] * length, 1, 0) for row in range(tokens // length)))
        taken = measured_bytes(lambda: UnslothEngine(model, tokens).loss(packs), device)
        model.zero_grad()
        return taken

    adapter_bytes = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    fit = find_fit(
        measure, room=memory_room(device) - 2 * adapter_bytes, max_length=recipe.max_length,
        most=recipe.tokens_per_step, num_layers=model.config.num_hidden_layers,
    )  # fmt: skip
    model.for_training(use_gradient_checkpointing="unsloth" if fit.num_recomputed else False)
    return fit.tokens


def _inputs(ids_T: Tensor, positions_T: Tensor, lengths: Sequence[int]) -> dict[str, Any]:
    """The model's arguments. Unsloth 2026.10 keeps documents apart by their lengths, without a mask and a cache.

    With these lengths it also computes rows longer than the window that it was loaded with.
    """
    return {
        "input_ids": ids_T[None],
        "position_ids": positions_T[None],
        "packed_seq_lengths": torch.tensor(lengths, dtype=torch.int32),
        "use_cache": False,
    }
