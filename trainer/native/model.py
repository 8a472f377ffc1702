"""The native model: a frozen base and one flat adapter, from a loaded transformers model and back to PEFT."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from contract.errors import UserError
from trainer.native import loss
from trainer.native.adapter import AdapterLayout, lora_settings, read_state, write_state
from trainer.native.batch import Batch
from trainer.native.frozen import Precision
from trainer.native.kernels.rounding import has_fp8
from trainer.native.kernels.sizes import capability_of, why_no_kernels
from trainer.native.layer import Layer, Tables, make_layer, make_tables
from trainer.native.loss import Scores
from trainer.native.merged.base import make_merged_base
from trainer.native.merged.hidden import MergedHidden
from trainer.native.reference import reference_layer
from trainer.native.shape import Rope, Shape, read_rope, read_shape

# From a layer's input (T x C) and its row of the adapter (P) to its output (T x C).
LayerFunction = Callable[[Tensor, Tensor, Layer, Tables], Tensor]


@dataclass(frozen=True)
class NativeModel:
    """A frozen base and an adapter. `adapter_LP` is the only trained tensor, in float32."""

    shape: Shape
    layout: AdapterLayout
    rope: Rope
    embedding_VC: Tensor
    layers: tuple[Layer, ...]
    head: loss.Head
    adapter_LP: nn.Parameter
    layer_function: LayerFunction
    entropy: loss.EntropyInPlace
    num_recomputed: int  # of the first layers: they keep only their input and are computed again in the backward pass
    merged: MergedHidden | None = None  # computes all layers, where it is there; then `layers` are none
    without_kernels: str = ""  # why a GPU computes the layers without kernels

    def parameters(self) -> list[nn.Parameter]:
        """The tensors that the optimizer updates."""
        return [self.adapter_LP]

    def loss(self, batch: Batch) -> Tensor:
        """The sum over the batch's answer tokens of their cross entropy, float32. Does not wait for the GPU."""
        batch = batch.to(self.embedding_VC.device)
        return loss.answer_loss(
            self._hidden(batch), self.head,
            answer_indices_A=batch.answer_indices_A, targets_A=batch.targets_A, entropy=self.entropy,
        )  # fmt: skip

    @torch.no_grad()
    def scores(self, batch: Batch) -> Scores:
        """Loss and rightness of each of the batch's answer tokens, without the padding. Does not wait for the GPU."""
        batch, num = batch.to(self.embedding_VC.device), batch.num_answer_tokens
        return loss.answer_scores(
            self._hidden(batch), self.head,
            answer_indices_A=batch.answer_indices_A[:num], targets_A=batch.targets_A[:num], entropy=self.entropy,
        )  # fmt: skip

    def logits(self, batch: Batch) -> Tensor:
        """The logits that predict the batch's answer tokens, padding included, A x V: for tests and probes."""
        batch = batch.to(self.embedding_VC.device)
        return self.head.normed(self._hidden(batch), batch.answer_indices_A) @ self.head.weight_VC.T

    def peft_state(self) -> dict[str, Tensor]:
        """The adapter as a PEFT state, for `set_peft_model_state_dict` or a file."""
        return read_state(self.adapter_LP, self.layout)

    def load_peft_state(self, state: Mapping[str, Tensor]) -> None:
        """Sets the adapter from a PEFT state; UserError unless that is an adapter on exactly all linear layers."""
        write_state(self.adapter_LP, state, layout=self.layout)

    def _hidden(self, batch: Batch) -> Tensor:
        if self.merged:
            return self.merged(self.adapter_LP, batch)
        tables = make_tables(batch, self.rope)
        x_TC = self.embedding_VC[batch.ids_T]
        for index, (layer, values_P) in enumerate(zip(self.layers, self.adapter_LP.unbind(), strict=True)):
            inputs = (x_TC, values_P, layer, tables)
            if index < self.num_recomputed:
                x_TC = checkpoint(self.layer_function, *inputs, use_reentrant=False, preserve_rng_state=False)
            else:
                x_TC = self.layer_function(*inputs)
        return x_TC


def build_native(
    model: PeftModel, *, precision: Precision, num_recomputed: int = 0, layer_function: LayerFunction | None = None
) -> NativeModel:
    """The same function as this PEFT model, base in the given precision, adapter as it stands.

    The model itself stays as it was; frozen weights that are already in the precision are shared, not copied.
    UserError where this engine cannot compute the base or the adapter, or this machine lacks the precision.
    """
    base = model.get_base_model()
    device = base.model.embed_tokens.weight.device
    if precision == "fp8" and device.type == "cuda" and not has_fp8(device):
        capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
        raise UserError(f"base precision fp8 needs a GPU of compute capability 9.0, this is {capability}")
    shape = read_shape(base)
    rank, scaling = lora_settings(model.active_peft_config)
    layout = AdapterLayout(shape, rank)
    why = ""
    if layer_function is None:
        layer_function, why = _layer_function(shape, device)
    return NativeModel(
        layers=tuple(make_layer(module, layout, scaling=scaling, precision=precision) for module in base.model.layers),
        layer_function=layer_function,
        num_recomputed=num_recomputed,
        without_kernels=why,
        **_ends(model, layout),
    )


def build_merged(model: PeftModel) -> NativeModel:
    """The same function, with the adapter merged into copies of the base's matrices at each step: for small bases.

    UserError as in `build_native`. Three copies of the base's matrices, in the compute type, stay in memory or pass it.
    """
    base = model.get_base_model()
    shape = read_shape(base)
    rank, scaling = lora_settings(model.active_peft_config)
    layout = AdapterLayout(shape, rank)
    ends = _ends(model, layout)
    merged = MergedHidden(make_merged_base(model, layout, scaling=scaling), ends["rope"], ends["embedding_VC"])
    return NativeModel(layers=(), layer_function=reference_layer, num_recomputed=0, merged=merged, **ends)


def _ends(model: PeftModel, layout: AdapterLayout) -> dict[str, Any]:
    """The fields of a NativeModel that do not depend on how layers are computed."""
    base = model.get_base_model()
    device = base.model.embed_tokens.weight.device
    adapter_LP = nn.Parameter(torch.empty(layout.shape.num_layers, layout.num_values, device=device))
    write_state(adapter_LP, get_peft_model_state_dict(model, save_embedding_layers=False), layout=layout)
    return {
        "shape": layout.shape,
        "layout": layout,
        "rope": read_rope(base, device=device),
        "embedding_VC": base.model.embed_tokens.weight.detach(),
        "head": loss.Head(base.model.norm.weight.detach(), layout.shape.eps, base.lm_head.weight.detach()),
        "adapter_LP": adapter_LP,
        "entropy": _entropy(layout.shape, device),
    }


def _layer_function(shape: Shape, device: torch.device) -> tuple[LayerFunction, str]:
    """The function that computes a layer on this device, and why a GPU does so without kernels."""
    if why := _why_no_kernels(shape, device):
        return reference_layer, why if device.type == "cuda" else ""
    from trainer.native.fused import fused_layer  # Triton is loaded only where it runs

    return fused_layer, ""


def _entropy(shape: Shape, device: torch.device) -> loss.EntropyInPlace:
    if _why_no_kernels(shape, device):
        return loss.cross_entropy_in_place
    from trainer.native.kernels.entropy import cross_entropy_in_place

    return cross_entropy_in_place


def _why_no_kernels(shape: Shape, device: torch.device) -> str | None:
    columns = (shape.hidden, shape.mlp)
    return why_no_kernels(capability_of(device), head_dim=shape.head_dim, columns=columns)
