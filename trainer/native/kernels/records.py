"""What the kernels of a layer are given together."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LayerConstants:
    """Numbers that all kernels of a layer share."""

    heads: int
    kv_heads: int
    head_dim: int
    eps: float  # of the norms
    scaling: float  # of LoRA
    to_fp8: bool  # whether the inputs of projections, forward and backward, are written in FP8
    has_thin: bool  # whether LoRA's products are computed inside the kernels

    @property
    def nums_qkv(self) -> tuple[int, int, int]:
        """Columns of queries, of keys and of values."""
        return self.heads * self.head_dim, self.kv_heads * self.head_dim, self.kv_heads * self.head_dim


@dataclass(frozen=True)
class LowRank:
    """The LoRA part of a projection, not yet added: low B^T forward (to its output), low A backward (to a gradient)."""

    low_TM: Tensor  # x A^T * scaling forward, grad B * scaling backward
    matrix: Tensor  # B, N x R, forward; A, M x K, backward


@dataclass(frozen=True)
class Normed:
    """Rows whose norm is to be gone through backward: the normed rows are x * rstd, the weight folded elsewhere."""

    x_TC: Tensor
    rstd_T: Tensor  # one over the root mean square of each row
    projected_T: Tensor  # sum over each row of (gradient of the normed row) * (normed row)
