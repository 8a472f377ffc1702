"""An engine computes the loss of a step: `plain` with unchanged transformers and PEFT, `native` fast on GPUs,
`unsloth` with that library (`trainer.engines.unsloth_engine`).

With every engine the adapter is saved from and loaded into a PEFT model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from torch.nn import Parameter

from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.engines.base import add_lora, answer_loss, document_leakage, load_base, packed_logits
from trainer.engines.dense import dequantise
from trainer.engines.scores import scores_of_pack
from trainer.engines.unsloth_engine import UnslothEngine, load_unsloth, require_unsloth, require_unsloth_installed
from trainer.examples.encoder import Pack
from trainer.muon import Matrices, peft_matrices
from trainer.native import (
    NativeModel,
    Precision,
    Scores,
    build_merged,
    build_native,
    capture,
    fit_to_memory,
    is_merged,
    make_batches,
    offload_adapter,
    with_kernels_that_work,
)
from trainer.native.trial import document_leakage as native_leakage
from trainer.recipes.recipe import Recipe

# As a share of the largest logit. Documents that see each other give about 1. Rounding gives 1e-6 in float32 and up to
# 0.03 in bfloat16, measured on 22 layers of random weights: SDPA has one kernel for the packed mask and another one for
# the causal mask. The steps of float16 are an eighth of bfloat16's.
_LARGEST_LEAKAGE = {torch.float32: 1e-2, torch.float16: 0.03, torch.bfloat16: 0.1}
_STAYS = "the base stays in nf4"


class Engine(Protocol):
    """The part of training that differs between engines."""

    @property
    def model(self) -> PeftModel:
        """The base with its adapter."""

    @property
    def name(self) -> str:
        """The name that is printed and written into metrics and checkpoints."""

    def parameters(self) -> list[Parameter]:
        """The tensors that the optimizer updates, float32."""

    def matrices(self, tensors: Sequence[Tensor]) -> Matrices:
        """The matrices of the adapter as views of tensors that have the shapes of `parameters`."""

    def batches(self, packs: Sequence[Pack]) -> list[Any]:
        """The packs as batches of one forward and backward pass each. Called ahead of the step, in a thread."""

    def loss(self, batch: Any) -> Tensor:
        """The sum over a batch's answer tokens of their cross entropy."""

    def scores(self, batch: Any) -> Scores:
        """Loss and rightness of each of a batch's answer tokens, in order, without padding and gradients."""

    def document_leakage(self, vocabulary: int) -> float:
        """How far an example's logits depend on the example before it in a pack, as a share of the largest logit."""

    def export_adapter(self) -> None:
        """Copies the adapter's values into the PEFT model, to be saved."""

    def import_adapter(self) -> None:
        """Copies the adapter's values from the PEFT model, after a checkpoint was loaded into it."""


@dataclass(frozen=True)
class PlainEngine:
    """transformers and PEFT, a pack at a time."""

    model: PeftModel
    name: str = "plain"

    def parameters(self) -> list[Parameter]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def matrices(self, tensors: Sequence[Tensor]) -> Matrices:
        return peft_matrices(self.model, tensors)

    def batches(self, packs: Sequence[Pack]) -> list[Pack]:
        return [pack for pack in packs if pack.num_answer_tokens]

    def loss(self, batch: Pack) -> Tensor:
        return answer_loss(self.model, batch)

    def scores(self, batch: Pack) -> Scores:
        return scores_of_pack(
            batch, lambda ids_T, at_T, _, answers_A: packed_logits(self.model, ids_T, at_T, answers_A), model=self.model
        )

    def document_leakage(self, vocabulary: int) -> float:
        return document_leakage(self.model, vocabulary=vocabulary, device=self.model.device)

    def export_adapter(self) -> None:
        """Nothing to do: the PEFT model's adapter is the one that is trained."""

    def import_adapter(self) -> None:
        """Nothing to do: the PEFT model's adapter is the one that is trained."""


@dataclass(frozen=True)
class NativeEngine:
    """Our own forward and backward pass, at most `tokens_per_batch` tokens at a time."""

    model: PeftModel
    native: NativeModel
    tokens_per_batch: int
    precision: Precision
    name: str = "native"

    def parameters(self) -> list[Parameter]:
        return self.native.parameters()

    def matrices(self, tensors: Sequence[Tensor]) -> Matrices:
        (values_LP,) = tensors
        return Matrices(*self.native.layout.matrices(values_LP))

    def batches(self, packs: Sequence[Pack]) -> list[Any]:
        sizes = {"sizes": 1} if self.native.merged else {}  # a captured step computes batches of one size
        made = make_batches(packs, max_tokens=self.tokens_per_batch, window=self.native.shape.window, **sizes)
        return [batch.pinned() for batch in made if batch.num_answer_tokens]

    def loss(self, batch: Any) -> Tensor:
        return self.native.loss(batch)

    def scores(self, batch: Any) -> Scores:
        return self.native.scores(batch)

    def document_leakage(self, vocabulary: int) -> float:
        return native_leakage(self.native, vocabulary=vocabulary)

    def export_adapter(self) -> None:
        set_peft_model_state_dict(self.model, self.native.peft_state())

    def import_adapter(self) -> None:
        self.native.load_peft_state(get_peft_model_state_dict(self.model, save_embedding_layers=False))


def check_engine(config: TrainConfig) -> None:
    """UserError where the settings ask for an engine that cannot run, as far as this is known without a base."""
    if config.engine in ("plain", "unsloth") and config.base_precision not in (None, "nf4", "auto"):
        raise UserError(
            f"engine = {config.engine} takes the base as it is loaded, in nf4 on a GPU: base_precision ="
            f" {config.base_precision} is for the native engine"
        )
    if config.engine == "unsloth":
        require_unsloth_installed()


def may_merge(config: TrainConfig) -> bool:
    """Whether the settings allow a base to be trained with the adapter merged into it, where the machine can."""
    is_exact = config.base_precision in (None, "auto", "bf16") and config.recipe != "seed"
    return config.engine in ("auto", "native") and is_exact and not config.lora_dropout


def choose_engine(
    load: Callable[[], PeftModel],
    config: TrainConfig,
    *,
    recipe: Recipe,
    base: str,
    device: torch.device,
) -> tuple[Engine, str]:
    """The engine that the settings ask for, and why it was chosen. UserError where it cannot run.

    `load` returns the base with its adapter, and is not called where Unsloth loads the base.
    """
    if config.engine == "unsloth":
        return _unsloth(base, config, recipe=recipe, device=device), "as asked for"
    model = load()
    if config.engine == "plain":
        return _plain(model, "as asked for", recipe=recipe)
    if config.engine == "native":
        return _named(_native(model, config, recipe=recipe, device=device), "as asked for")
    if device.type != "cuda":
        return _plain(model, "there is no GPU", recipe=recipe)
    try:
        return _named(_native(model, config, recipe=recipe, device=device), "this GPU and this base can do it")
    except UserError as error:
        why = f"the native engine cannot: {error}"
    del model
    torch.cuda.empty_cache()
    try:
        return _unsloth(base, config, recipe=recipe, device=device), f"{why}; {_STAYS}"
    except UserError as error:
        return _plain(load(), f"{why}; nor can Unsloth: {error}", recipe=recipe)


def open_engine(
    config: TrainConfig, *, recipe: Recipe, base: str, device: torch.device, vocabulary: int
) -> tuple[Engine, str]:
    """The engine with a freshly initialised adapter, checked to keep packed examples apart, and why it was chosen.

    UserError where it cannot run. `vocabulary` is the number of the tokenizer's tokens.
    """
    engine, why = choose_engine(
        lambda: add_lora(load_base(base, device=device, compute_type=config.compute_type), config, recipe=recipe),
        config,
        recipe=recipe,
        base=base,
        device=device,
    )
    check_isolation(engine, vocabulary=vocabulary)
    return engine, why


def check_isolation(engine: Engine, *, vocabulary: int) -> None:
    """Raises UserError if, on the loaded model, an example in a pack sees the example before it."""
    leakage, allowed = engine.document_leakage(vocabulary), _LARGEST_LEAKAGE[engine.model.dtype]
    if not leakage < allowed:
        raise UserError(
            f"packed records see each other with this model and attention (logits differ by {leakage:.2g} of their"
            f" size, expected less than {allowed}): training would learn wrong answers, so it does not start"
        )


def _plain(model: PeftModel, why: str, *, recipe: Recipe) -> tuple[PlainEngine, str]:
    is_dense = recipe.base_precision in ("auto", "bf16")  # on a CPU both mean float32
    held = dequantise(model) if is_dense else _STAYS
    return PlainEngine(model), f"{why}; {held}"


def _named(engine: NativeEngine, why: str) -> tuple[NativeEngine, str]:
    """The engine, and `why` with its precision and batch, as text to print."""
    how = ", all layers computed again in the backward pass" if engine.native.num_recomputed else ""
    if engine.native.merged:
        how = ", the adapter merged into the base at each step"
    elif engine.native.without_kernels:
        how += f", layers computed without kernels: {engine.native.without_kernels}"
    return engine, f"{why}; base in {engine.precision}, {engine.tokens_per_batch:,} tokens at once{how}"


def _unsloth(base: str, config: TrainConfig, *, recipe: Recipe, device: torch.device) -> UnslothEngine:
    require_unsloth(device.type)
    return load_unsloth(base, config, recipe=recipe, device=device)


def _native(model: PeftModel, config: TrainConfig, *, recipe: Recipe, device: torch.device) -> NativeEngine:
    if config.lora_dropout:
        raise UserError(f"the native engine has no dropout, and lora_dropout = {config.lora_dropout}")
    engine = None
    if may_merge(config) and is_merged(model.config, device):
        engine = _merged(model, config, recipe=recipe)
    if engine is None and recipe.base_precision == "auto":
        engine = _dense(model, config, recipe=recipe)
    if engine is None:
        precision: Precision = "nf4" if recipe.base_precision == "auto" else recipe.base_precision
        engine = _fitted(model, config, recipe=recipe, precision=precision)
    offload_adapter(model)
    return engine


def _merged(model: PeftModel, config: TrainConfig, *, recipe: Recipe) -> NativeEngine | None:
    """None where memory does not suffice, or where the step cannot be compiled."""
    most = config.tokens_per_batch or recipe.tokens_per_step
    try:
        native, tokens = capture(build_merged(model), max_length=recipe.max_length, most=most)
    except (UserError, torch.OutOfMemoryError):
        return None
    return NativeEngine(model, native, tokens, "bf16")


def _dense(model: PeftModel, config: TrainConfig, *, recipe: Recipe) -> NativeEngine | None:
    """The base dequantised once, which is the same function; None where then not all layers' inputs fit."""
    try:
        engine = _fitted(model, config, recipe=recipe, precision="bf16")
    except (UserError, torch.OutOfMemoryError):
        return None
    return None if engine.native.num_recomputed else engine


def _fitted(model: PeftModel, config: TrainConfig, *, recipe: Recipe, precision: Precision) -> NativeEngine:
    native = with_kernels_that_work(build_native(model, precision=precision))
    tokens = config.tokens_per_batch
    if tokens is None:
        native, tokens = fit_to_memory(native, max_length=recipe.max_length, most=recipe.tokens_per_step)
    return NativeEngine(model, native, tokens, precision)
