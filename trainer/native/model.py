"""The native model: a frozen base and one flat adapter, from a loaded transformers model and back to PEFT."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from contract.errors import UserError
from trainer.native import loss
from trainer.native.adapter import Layout, lora_settings, read_state, write_state
from trainer.native.batch import Batch
from trainer.native.frozen import Precision, has_fp8
from trainer.native.layer import Layer, Tables, make_layer, make_tables
from trainer.native.reference import reference_layer, rms_norm
from trainer.native.shape import Rope, Shape, read_rope, read_shape

# Input (T x C) and a layer's row of the adapter to the layer's output.
LayerFunction = Callable[[Tensor, Tensor, Layer, Tables], Tensor]


@dataclass(frozen=True)
class NativeModel:
    """What trains an adapter on packs. `adapter_LP` is the only trained tensor, in float32."""

    shape: Shape
    layout: Layout
    rope: Rope
    embedding_VC: Tensor
    layers: tuple[Layer, ...]
    norm_C: Tensor
    head_VC: Tensor
    adapter_LP: nn.Parameter
    layer_function: LayerFunction
    entropy: loss.EntropyInPlace
    num_recomputed: int  # first layers that keep only their input and are computed again in the backward pass

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer updates."""
        return [self.adapter_LP]

    def loss(self, batch: Batch) -> Tensor:
        """The sum over the batch's answer tokens of their cross entropy, float32. Does not wait for the GPU."""
        batch = batch.to(self.embedding_VC.device)
        return loss.answer_loss(
            self._hidden(batch), batch.places_A, batch.targets_A, self.norm_C, self.head_VC,
            eps=self.shape.eps, entropy=self.entropy,
        )  # fmt: skip

    def logits(self, batch: Batch) -> Tensor:
        """The logits at the batch's answer places, padding included, A x V: for tests and probes."""
        batch = batch.to(self.embedding_VC.device)
        h_AC = rms_norm(self._hidden(batch).index_select(0, batch.places_A), self.norm_C, self.shape.eps)
        return h_AC @ self.head_VC.T

    def peft_state(self) -> dict[str, Tensor]:
        """The adapter as a PEFT state, for `set_peft_model_state_dict` or a file."""
        return read_state(self.adapter_LP, self.layout)

    def load_peft_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes the adapter from a PEFT state; UserError where it is not one on exactly all linear layers."""
        write_state(self.adapter_LP, state, self.layout)

    def _hidden(self, batch: Batch) -> Tensor:
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

    The model itself stays as it was; its frozen weights are shared where the precision is the one it has.
    UserError where the base, the adapter or this machine cannot do it.
    """
    base = model.get_base_model()
    device = base.model.embed_tokens.weight.device
    if precision == "fp8" and device.type == "cuda" and not has_fp8(device):
        raise UserError(f"base precision fp8 needs a GPU of compute capability 9.0, this is {_capability(device)}")
    shape = read_shape(base)
    rank, scaling = lora_settings(model.active_peft_config)
    layout = Layout(shape, rank)
    layers = tuple(make_layer(module, layout, scaling=scaling, precision=precision) for module in base.model.layers)
    adapter_LP = nn.Parameter(torch.empty(shape.num_layers, layout.num_values, device=device))
    write_state(adapter_LP, get_peft_model_state_dict(model, save_embedding_layers=False), layout)
    is_fused = layer_function is None and can_fuse(layers[0], device)
    return NativeModel(
        shape=shape,
        layout=layout,
        rope=read_rope(base, device=device),
        embedding_VC=base.model.embed_tokens.weight.detach(),
        layers=layers,
        norm_C=base.model.norm.weight.detach(),
        head_VC=base.lm_head.weight.detach(),
        adapter_LP=adapter_LP,
        layer_function=_fused_layer() if is_fused else layer_function or reference_layer,
        entropy=_fused_entropy() if is_fused else loss.cross_entropy_in_place,
        num_recomputed=num_recomputed,
    )


def can_fuse(layer: Layer, device: torch.device) -> bool:
    """Whether the kernels run on this device with this model's sizes."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    shape = layer.shape
    is_regular = all(size % 32 == 0 for size in (shape.hidden, shape.mlp))
    return is_regular and shape.head_dim in (32, 64, 128, 256)


def _fused_layer() -> LayerFunction:
    from trainer.native.fused import fused_layer  # Triton is loaded only where it runs

    return fused_layer


def _fused_entropy() -> loss.EntropyInPlace:
    from trainer.native.kernels.entropy import cross_entropy_in_place

    return cross_entropy_in_place


def _capability(device: torch.device) -> str:
    return ".".join(map(str, torch.cuda.get_device_capability(device)))
