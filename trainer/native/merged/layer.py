"""A decoder layer with given matrices, as two functions around attention that can be compiled.

Shapes: T tokens, C hidden columns, N columns of queries, keys and values, Q columns of queries, D columns of a head,
E = D / 2, F columns of the MLP.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.native.layer import Vectors
from trainer.native.reference import rms_norm, rotate
from trainer.native.shape import Shape


@dataclass(frozen=True)
class Matrices:
    """The merged matrices of a layer: of queries, keys and values; of the output; of gate and up; of down."""

    qkv_NC: Tensor
    out_CQ: Tensor
    gate_up_2FC: Tensor
    down_CF: Tensor


def before_attention(
    x_TC: Tensor, qkv_NC: Tensor, vectors: Vectors, *, cos_TE: Tensor, sin_TE: Tensor, shape: Shape
) -> Tensor:
    """Queries, keys and values ready for attention, T x N."""
    qkv_TN = functional.linear(rms_norm(x_TC, vectors.norms_2C[0], shape.eps), qkv_NC, vectors.qkv_bias_N)
    heads = qkv_TN.unflatten(1, (-1, shape.head_dim))
    q_THD, k_TGD, v_TGD = heads.split([shape.heads, shape.kv_heads, shape.kv_heads], 1)
    if vectors.head_norms_2D is not None:
        q_THD = rms_norm(q_THD, vectors.head_norms_2D[0], shape.eps)
        k_TGD = rms_norm(k_TGD, vectors.head_norms_2D[1], shape.eps)
    return torch.cat([rotate(q_THD, cos_TE, sin_TE), rotate(k_TGD, cos_TE, sin_TE), v_TGD], 1).flatten(1)


def after_attention(x_TC: Tensor, mixed_TQ: Tensor, matrices: Matrices, norm_C: Tensor, *, eps: float) -> Tensor:
    """The layer's output, from its input and the values mixed by attention. `norm_C` is that before the MLP."""
    x_TC = x_TC + mixed_TQ @ matrices.out_CQ.T
    gate_TF, up_TF = (rms_norm(x_TC, norm_C, eps) @ matrices.gate_up_2FC.T).chunk(2, 1)
    return x_TC + (functional.silu(gate_TF) * up_TF) @ matrices.down_CF.T
