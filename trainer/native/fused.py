"""A decoder layer by hand: products by cuBLAS, everything between them in a kernel each, gradients written out.

The same function as `reference.py`, which says what it computes. A stage writes what the next product reads, in FP8
where the base is in FP8, and along with it the thin LoRA product that would otherwise be a pass of its own.
Shapes: T tokens, C hidden columns, F columns of the MLP, N columns of queries, keys and values, Q of queries,
P values of the adapter in this layer, M and R as in `adapter.py`.
"""

from typing import Any

import torch
from torch import Tensor

from trainer.native.adapter import Lora
from trainer.native.frozen import OFF_GRID, Rows8, Scaled8, parts
from trainer.native.kernels import attention, low, mlp, rope, rows
from trainer.native.layer import Layer, Tables, folded


def fused_layer(x_TC: Tensor, values_P: Tensor, layer: Layer, tables: Tables) -> Tensor:
    """The layer's output; differentiable once in x and in the layer's row of the adapter."""
    return _FusedLayer.apply(x_TC, values_P, layer, tables)


class _FusedLayer(torch.autograd.Function):  # its ctx takes any attribute
    @staticmethod
    def forward(ctx: Any, x_TC: Tensor, values_P: Tensor, layer: Layer, tables: Tables) -> Tensor:
        values_P = values_P.to(x_TC.dtype)
        qkv, out, gate_up, down = layer.layout.split(values_P)
        qkv, gate_up = folded(qkv, layer.input_norm_C), folded(gate_up, layer.mlp_norm_C)
        weights, to_fp8, scaling, eps = layer.weights, _is_fp8(layer), layer.scaling, layer.shape.eps

        start = rows.norm_forward(x_TC, None, qkv.down_MK, eps=eps, scaling=scaling, to_fp8=to_fp8)
        base_TN = weights[0].product(start.input)
        qkv_TN = rope.rope_forward(base_TN, start.rstd_T, start.low_TM, qkv.up_NR, layer, tables)
        mixed_TQ, lse_HT = attention.attention_forward(qkv_TN, tables.batch.blocks_B3, layer)
        low_out_TR, mixed = rows.low_product(mixed_TQ, out.down_MK.T, scaling=scaling, to_fp8=to_fp8)

        attended = rows.Addend(weights[1].product(mixed, factor=OFF_GRID), low_out_TR, out.up_NR)
        middle = rows.norm_forward(x_TC, attended, gate_up.down_MK, eps=eps, scaling=scaling, to_fp8=to_fp8)
        gate_up_T2F = weights[2].product(middle.input)
        swiglu, low_down_TR = mlp.swiglu_forward(
            gate_up_T2F, middle.rstd_T, middle.low_TM, gate_up.up_NR, down.down_MK, scaling=scaling, to_fp8=to_fp8
        )
        base_TC = weights[3].product(swiglu, factor=OFF_GRID)
        y_TC = low.add_low(middle.sum_TC, base_TC, low_down_TR, down.up_NR)

        kept_TN = base_TN if layer.head_norms is not None else qkv_TN
        ctx.save_for_backward(
            x_TC, start.rstd_T, start.low_TM, kept_TN, qkv_TN, mixed_TQ, lse_HT, low_out_TR,
            middle.sum_TC, middle.rstd_T, middle.low_TM, gate_up_T2F, *parts(swiglu), low_down_TR, values_P,
        )  # fmt: skip
        ctx.layer, ctx.tables = layer, tables
        return y_TC

    @staticmethod
    def backward(ctx: Any, grad_TC: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        layer: Layer = ctx.layer
        saved = ctx.saved_tensors  # once: where layers are computed again, a second look is an error
        values_P = saved[-1]
        grad_P = torch.zeros(values_P.shape, device=values_P.device)  # float32: sums of products are added to it
        loras, grads = layer.layout.split(values_P), layer.layout.split(grad_P)
        middle = _mlp_backward(layer, saved, grad_TC.contiguous(), loras, grads)
        grad_x_TC = _attention_backward(ctx, saved, *middle, loras, grads)
        return grad_x_TC, grad_P, None, None


def _mlp_backward(
    layer: Layer, saved: tuple[Tensor, ...], grad_TC: Tensor, loras: list[Lora], grads: list[Lora]
) -> tuple[Tensor, Tensor, Tensor | Rows8]:
    """From the gradient of the layer's output to that of its middle, with what the product before the middle needs.

    Adds the gradients of A and B to `grads`.
    """
    *_, middle_TC, rstd_T, low_gate_up_TM, gate_up_T2F, swiglu_values, swiglu_scale, low_down_TR, _ = saved
    _, out, gate_up, down = loras
    _, _, gate_up_grad, down_grad = grads
    gate_up = folded(gate_up, layer.mlp_norm_C)
    swiglu = swiglu_values if swiglu_scale is None else Rows8(swiglu_values, swiglu_scale)
    products, scaling, to_fp8 = layer.shape.products, layer.scaling, _is_fp8(layer)

    low_TR, grad = rows.low_product(grad_TC, down.up_NR, scaling=scaling, to_fp8=to_fp8)
    low.up_gradient(low_down_TR, grad, up_grad_NR=down_grad.up_NR, nums_out=products[3].nums_out)
    low.down_gradient(low_TR, swiglu, grad_MN=down_grad.down_MK)
    grad_TF = layer.weights[3].product_back(grad)

    grad, low_TM, projected_T = mlp.swiglu_backward(
        grad_TF, low_TR, down.down_MK, gate_up_T2F, rstd_T, low_gate_up_TM, gate_up.up_NR,
        scaling=scaling, to_fp8=to_fp8,
    )  # fmt: skip
    low.up_gradient(low_gate_up_TM, grad, up_grad_NR=gate_up_grad.up_NR, nums_out=products[2].nums_out)
    low.down_gradient_of_normed(low_TM, middle_TC, rstd_T, layer.mlp_norm_C, grad_MC=gate_up_grad.down_MK)
    return rows.norm_backward_and_low(
        layer.weights[2].product_back(grad), low_TM, gate_up.down_MK, middle_TC, rstd_T, projected_T,
        residual_TC=grad_TC, up_CR=out.up_NR, scaling=scaling, to_fp8=to_fp8,
    )  # fmt: skip


def _attention_backward(
    ctx: Any,
    saved: tuple[Tensor, ...],
    grad_TC: Tensor,
    low_TR: Tensor,
    grad: Tensor | Rows8,
    loras: list[Lora],
    grads: list[Lora],
) -> Tensor | None:
    """From the gradient of the layer's middle to that of its input, which is None where nobody asks for it."""
    x_TC, rstd_T, low_qkv_TM, kept_TN, qkv_TN, mixed_TQ, lse_HT, low_out_TR, *_ = saved
    layer: Layer = ctx.layer
    tables: Tables = ctx.tables
    (qkv, out, _, _), (qkv_grad, out_grad, _, _) = loras, grads
    qkv = folded(qkv, layer.input_norm_C)
    products = layer.shape.products

    low.up_gradient(low_out_TR, grad, up_grad_NR=out_grad.up_NR, nums_out=products[1].nums_out)
    low.down_gradient(low_TR, mixed_TQ, grad_MN=out_grad.down_MK)
    grad_qkv_TN = attention.attention_backward(
        layer.weights[1].product_back(grad), qkv_TN, mixed_TQ, lse_HT, tables.batch.blocks_B3, layer,
        low_TR=low_TR, down_RQ=out.down_MK,
    )  # fmt: skip

    grad, low_TM, projected_T = rope.rope_backward(
        grad_qkv_TN, kept_TN, rstd_T, low_qkv_TM, qkv, layer, tables, to_fp8=_is_fp8(layer)
    )
    low.up_gradient(low_qkv_TM, grad, up_grad_NR=qkv_grad.up_NR, nums_out=products[0].nums_out)
    low.down_gradient_of_normed(low_TM, x_TC, rstd_T, layer.input_norm_C, grad_MC=qkv_grad.down_MK)
    if not ctx.needs_input_grad[0]:
        return None
    return rows.norm_backward(
        layer.weights[0].product_back(grad), low_TM, qkv.down_MK, x_TC, rstd_T, projected_T, residual_TC=grad_TC
    )


def _is_fp8(layer: Layer) -> bool:
    return isinstance(layer.weights[0], Scaled8)
