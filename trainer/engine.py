"""What computes the loss of a step: `plain`, transformers and PEFT as they are, or `native`, the fast one for GPUs.

Whichever it is, the PEFT model holds the adapter that is saved and loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from torch.nn import Parameter

from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.examples import Pack
from trainer.model import answer_loss, plain_leak
from trainer.native import NativeModel, build_native, largest_leak, make_batches

# Of the logits' largest value. A leak gives about 1. Rounding gives 1e-6 in float32; in bfloat16 up to 0.03, measured
# on 22 layers of random weights, because SDPA takes another kernel for the packed mask than for the causal one.
_LARGEST_LEAK = {torch.float32: 1e-2, torch.bfloat16: 0.1}


class Engine(Protocol):
    """The part of training that the loop leaves open."""

    @property
    def model(self) -> PeftModel:
        """The base with its adapter."""

    @property
    def name(self) -> str:
        """For people, metrics and checkpoints."""

    def parameters(self) -> list[Parameter]:
        """What the optimizer updates, float32."""

    def batches(self, packs: Sequence[Pack]) -> list[Any]:
        """The packs as this engine computes them, one forward and backward pass each. Called ahead, in a thread."""

    def loss(self, batch: Any) -> Tensor:
        """The sum over a batch's answer tokens of their cross entropy."""

    def leak(self, vocabulary: int) -> float:
        """What the logits of an example in a pack owe to the one before it, in shares of the largest logit."""

    def give_adapter(self) -> None:
        """Puts the adapter's values into the PEFT model, to be saved."""

    def take_adapter(self) -> None:
        """Takes the adapter's values from the PEFT model, after a checkpoint was loaded into it."""


@dataclass(frozen=True)
class PlainEngine:
    """transformers and PEFT, a pack at a time."""

    model: PeftModel
    name: str = "plain"

    def parameters(self) -> list[Parameter]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def batches(self, packs: Sequence[Pack]) -> list[Pack]:
        return [pack for pack in packs if pack.num_answer_tokens]

    def loss(self, batch: Pack) -> Tensor:
        return answer_loss(self.model, batch)

    def leak(self, vocabulary: int) -> float:
        return plain_leak(self.model, vocabulary=vocabulary, device=self.model.device)

    def give_adapter(self) -> None:
        """It is the PEFT model's own."""

    def take_adapter(self) -> None:
        """It is the PEFT model's own."""


@dataclass(frozen=True)
class NativeEngine:
    """Our own forward and backward pass, as many tokens at a time as are asked for."""

    model: PeftModel
    native: NativeModel
    tokens_per_batch: int
    name: str = "native"

    def parameters(self) -> list[Parameter]:
        return self.native.parameters()

    def batches(self, packs: Sequence[Pack]) -> list[Any]:
        made = make_batches(packs, max_tokens=self.tokens_per_batch, window=self.native.shape.window)
        return [batch.pinned() for batch in made if batch.num_answer_tokens]

    def loss(self, batch: Any) -> Tensor:
        return self.native.loss(batch)

    def leak(self, vocabulary: int) -> float:
        return largest_leak(self.native, vocabulary=vocabulary)

    def give_adapter(self) -> None:
        set_peft_model_state_dict(self.model, self.native.peft_state())

    def take_adapter(self) -> None:
        self.native.load_peft_state(get_peft_model_state_dict(self.model, save_embedding_layers=False))


def choose_engine(model: PeftModel, config: TrainConfig) -> tuple[Engine, str]:
    """The engine that the settings ask for, and why it is that one. UserError where it cannot be."""
    if config.engine == "plain":
        return PlainEngine(model), "as asked for"
    if config.engine == "native":
        return _native(model, config), "as asked for"
    if model.device.type != "cuda":
        return PlainEngine(model), "there is no GPU"
    try:
        return _native(model, config), "this GPU and this base can do it"
    except UserError as error:
        return PlainEngine(model), f"the native engine cannot: {error}"


def check_isolation(engine: Engine, *, vocabulary: int) -> None:
    """Raises UserError if, on this model as it is loaded, an example in a pack sees the one before it."""
    leak, allowed = engine.leak(vocabulary), _LARGEST_LEAK[engine.model.dtype]
    if not leak < allowed:
        raise UserError(
            f"packed records see each other with this model and attention (logits differ by {leak:.2g} of their size,"
            f" expected less than {allowed}): training would learn wrong answers, so it does not start"
        )


def _native(model: PeftModel, config: TrainConfig) -> NativeEngine:
    if config.lora_dropout:
        raise UserError(f"the native engine has no dropout, and lora_dropout = {config.lora_dropout}")
    if model.device.type == "cuda" and torch.cuda.get_device_capability(model.device) < (8, 0):
        raise UserError("its kernels need a GPU of compute capability 8.0 or more")
    native = build_native(model, precision=config.base_precision)
    return NativeEngine(model, native, config.tokens_per_batch)
