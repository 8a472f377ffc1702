"""A 4-bit base dequantised once, in place: the same function as dequantising it in each product, in less time."""

from typing import Final

import torch
from bitsandbytes.nn import Linear4bit
from torch import nn

from command.machine import free_memory_bytes
from command.quantities import format_bytes
from trainer.native.frozen import dense_weight

# Of the free memory. The rest is for activations, the adapter and its optimizer.
LARGEST_SHARE: Final = 0.5
_EXPERT_DIMENSIONS: Final = 3  # experts, rows, columns


@torch.no_grad()
def dequantise(model: nn.Module) -> str:
    """Replaces the layers in NF4 by layers in the compute type where memory allows it, and says how the base is held.

    It is allowed where the new layers take at most half of the free memory of the device.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, Linear4bit)}
    if not layers:
        return "the base is not in 4 bit"
    first = next(iter(layers.values()))
    dtype = first.compute_dtype
    num_bytes = sum(layer.in_features * layer.out_features for layer in layers.values()) * dtype.itemsize
    free = _free_bytes(first.weight.device)
    if num_bytes > LARGEST_SHARE * free:
        return (
            f"the base stays in nf4, which is slower: dequantised it takes {num_bytes / 1e9:.1f} GB, more than half"
            f" of the {free / 1e9:.1f} GB of memory that are free"
        )
    for name, layer in layers.items():
        model.set_submodule(name, _dense(layer, dtype))
    return f"the base is dequantised once ({num_bytes / 1e9:.1f} GB)"


def is_in_nf4(model: nn.Module) -> bool:
    """Whether any layer is held in NF4."""
    return any(isinstance(module, Linear4bit) for module in model.modules())


def experts_text(model: nn.Module) -> str | None:
    """What is not in 4 bit in a base of experts, for a person; None where there are none.

    transformers 5 keeps the experts of a layer in one tensor of three dimensions, and bitsandbytes 0.50 quantises
    linear layers alone. LoRA on all linear layers does not reach them either.
    """
    experts = [
        weight
        for name, weight in model.named_parameters()
        if weight.dim() == _EXPERT_DIMENSIONS and "lora_" not in name
    ]
    if not experts:
        return None
    num, kind = sum(weight.numel() for weight in experts), str(experts[0].dtype).removeprefix("torch.")
    num_bytes = sum(weight.nbytes for weight in experts)
    return (
        f"the base has experts: their {num:,} weights stay in {kind} ({format_bytes(num_bytes)}), and no adapter is"
        " trained on them; only the other linear layers are in 4 bit and trained"
    )


def _dense(layer: Linear4bit, dtype: torch.dtype) -> nn.Linear:
    dense = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    dense.weight = nn.Parameter(dense_weight(layer, dtype=dtype), requires_grad=False)
    if layer.bias is not None:
        dense.bias = nn.Parameter(layer.bias.to(dtype), requires_grad=False)
    return dense.train(layer.training)


def _free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory_bytes()
