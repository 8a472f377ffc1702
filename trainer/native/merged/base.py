"""A frozen base as one stack of matrices a projection, and the stacks with an adapter merged into them.

Shapes: L layers, P values of the adapter in a layer, N output and K input columns of a projection, R rank, M ranks of
all its linear layers together.
"""

from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import Tensor

from trainer.native.adapter import AdapterLayout
from trainer.native.frozen import dense_weight
from trainer.native.layer import Vectors, read_vectors
from trainer.native.shape import Projection


@dataclass(frozen=True)
class MergedBase:
    """The frozen weights of all layers."""

    layout: AdapterLayout
    scaling: float
    stacks: tuple[Tensor, ...]  # L x N x K, of the four projections
    vectors: tuple[Vectors, ...]  # of each layer

    def merge(self, adapter_LP: Tensor) -> list[Tensor]:
        """W + B A * scaling of each projection, L x N x K; differentiable in the adapter.

        A step of the merged model costs 6 operations a weight and token, not 4, but a third of the kernels, and
        nothing in it depends on the rank.
        """
        dtype, projections = self.stacks[0].dtype, self.layout.shape.projections
        parts = self.layout.split_layers(adapter_LP.to(dtype))
        return [
            _merged(stack, down, up * self.scaling, projection=projection)
            for stack, (down, up), projection in zip(self.stacks, parts, projections, strict=True)
        ]


def _merged(stack_LNK: Tensor, down_LMK: Tensor, up_LNR: Tensor, *, projection: Projection) -> Tensor:
    """One product for each linear layer of the projection, over all layers of the model at once."""
    nums_out, rank = projection.nums_out, up_LNR.shape[2]
    linears = zip(stack_LNK.split(nums_out, 1), up_LNR.split(nums_out, 1), down_LMK.split(rank, 1), strict=True)
    return torch.cat([torch.baddbmm(*linear) for linear in linears], 1)


def make_merged_base(model: PeftModel, layout: AdapterLayout, *, scaling: float) -> MergedBase:
    """The base of a PEFT model, dequantised where it is stored in NF4. Takes as much memory again as the base."""
    layers = model.get_base_model().model.layers
    vectors = [read_vectors(layer, layout.shape) for layer in layers]
    dtype = vectors[0].norms_2C.dtype
    stacks = [
        torch.stack(
            [
                torch.cat([dense_weight(linear, dtype=dtype) for linear in projection.linear_layers(layer)])
                for layer in layers
            ]
        )
        for projection in layout.shape.projections
    ]
    return MergedBase(
        layout=layout,
        scaling=scaling,
        stacks=tuple(stacks),
        vectors=tuple(vectors),
    )
