"""A decoder layer by hand: products by cuBLAS, everything between them in a kernel each, gradients written out.

The same function as in `reference.py`, which shows it in plain PyTorch. Each stage writes the input of the next
product, in FP8 where the base is in FP8, and in the same pass that input's thin LoRA product.
Shapes: T tokens, C hidden columns, F columns of the MLP, N columns of queries, keys and values, Q columns of queries,
P values of the adapter in this layer, M and R as in `adapter.py`.
"""

from typing import Any

import torch
from torch import Tensor

from trainer.native.adapter import Lora
from trainer.native.frozen import Fp8Weight
from trainer.native.kernels import attention, low, mlp, rope, rows, sizes
from trainer.native.kernels.records import LayerConstants, LowRank, Normed
from trainer.native.kernels.rounding import OFF_GRID, Fp8Matrix, parts
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
        weights, constants = layer.weights, _constants(layer)

        start = rows.residual_norm_forward(x_TC, None, down_MC=qkv.down_MK, constants=constants)
        base_TN = weights[0].product(start.input)
        qkv_TN = rope.rope_forward(
            base_TN, LowRank(start.low_TM, qkv.up_NR),
            rstd_T=start.rstd_T, inputs=_head_inputs(layer, tables), constants=constants,
        )  # fmt: skip
        attended = attention.attention_forward(qkv_TN, tables.batch.blocks_B3, constants=constants)
        low_out_TR, mixed = rows.low_product(attended.mixed_TQ, out.down_MK.T, constants=constants)

        addend = rows.ResidualAddend(weights[1].product(mixed, factor=OFF_GRID), LowRank(low_out_TR, out.up_NR))
        middle = rows.residual_norm_forward(x_TC, addend, down_MC=gate_up.down_MK, constants=constants)
        gate_up_T2F = weights[2].product(middle.input)
        swiglu, low_down_TR = mlp.swiglu_forward(
            gate_up_T2F, LowRank(middle.low_TM, gate_up.up_NR),
            rstd_T=middle.rstd_T, down_RF=down.down_MK, constants=constants,
        )  # fmt: skip
        base_TC = weights[3].product(swiglu, factor=OFF_GRID)
        y_TC = low.add_low(middle.sum_TC, base_TC, low=LowRank(low_down_TR, down.up_NR), has_thin=constants.has_thin)

        kept_TN = base_TN if layer.head_norms_2D is not None else qkv_TN
        ctx.save_for_backward(
            x_TC, start.rstd_T, start.low_TM, kept_TN, qkv_TN, attended.mixed_TQ, attended.lse_HT, low_out_TR,
            middle.sum_TC, middle.rstd_T, middle.low_TM, gate_up_T2F, *parts(swiglu), low_down_TR, values_P,
        )  # fmt: skip
        ctx.layer, ctx.tables, ctx.constants = layer, tables, constants
        return y_TC

    @staticmethod
    def backward(ctx: Any, grad_TC: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        layer: Layer = ctx.layer
        saved = ctx.saved_tensors  # once: where layers are computed again, a second read is an error
        values_P = saved[-1]
        grad_P = torch.zeros(values_P.shape, device=values_P.device)  # float32: sums of products are added to it
        loras, grads = layer.layout.split(values_P), layer.layout.split(grad_P)
        middle = _mlp_backward(ctx, saved, grad_TC=grad_TC.contiguous(), loras=loras, grads=grads)
        grad_x_TC = _attention_backward(ctx, saved, middle=middle, loras=loras, grads=grads)
        return grad_x_TC, grad_P, None, None


def _mlp_backward(
    ctx: Any, saved: tuple[Tensor, ...], *, grad_TC: Tensor, loras: list[Lora], grads: list[Lora]
) -> rows.ResidualGradient:
    """From the gradient of the layer's output to the gradient of its middle, the residual stream before the MLP's norm.

    Adds the gradients of A and B to `grads`.
    """
    *_, middle_TC, rstd_T, low_gate_up_TM, gate_up_T2F, swiglu_values, swiglu_scale, low_down_TR, _ = saved
    layer: Layer = ctx.layer
    _, out, gate_up, down = loras
    _, _, gate_up_grad, down_grad = grads
    gate_up = folded(gate_up, layer.mlp_norm_C)
    swiglu = swiglu_values if swiglu_scale is None else Fp8Matrix(swiglu_values, swiglu_scale)
    projections, constants = layer.shape.projections, ctx.constants
    has_thin = constants.has_thin

    low_TR, grad = rows.low_product(grad_TC, down.up_NR, constants=constants)
    low.up_gradient(low_down_TR, grad, up_grad_NR=down_grad.up_NR, nums_out=projections[3].nums_out, has_thin=has_thin)
    low.down_gradient(low_TR, swiglu, grad_MN=down_grad.down_MK, has_thin=has_thin)
    grad_TF = layer.weights[3].product_back(grad)

    grad, low_TM, projected_T = mlp.swiglu_backward(
        grad_TF, LowRank(low_TR, down.down_MK),
        base_T2F=gate_up_T2F, rstd_T=rstd_T, low=LowRank(low_gate_up_TM, gate_up.up_NR), constants=constants,
    )  # fmt: skip
    normed = Normed(middle_TC, rstd_T, projected_T)
    low.up_gradient(
        low_gate_up_TM, grad, up_grad_NR=gate_up_grad.up_NR, nums_out=projections[2].nums_out, has_thin=has_thin
    )
    low.down_gradient_of_normed(
        low_TM, normed, weight_C=layer.mlp_norm_C, grad_MC=gate_up_grad.down_MK, has_thin=has_thin
    )
    return rows.residual_norm_backward_and_low(
        layer.weights[2].product_back(grad), LowRank(low_TM, gate_up.down_MK),
        normed=normed, residual_TC=grad_TC, up_CR=out.up_NR, constants=constants,
    )  # fmt: skip


def _attention_backward(
    ctx: Any, saved: tuple[Tensor, ...], *, middle: rows.ResidualGradient, loras: list[Lora], grads: list[Lora]
) -> Tensor | None:
    """From the gradient of the layer's middle to the gradient of its input, None where autograd does not ask for it.

    Adds the gradients of A and B to `grads`.
    """
    x_TC, rstd_T, low_qkv_TM, kept_TN, qkv_TN, mixed_TQ, lse_HT, low_out_TR, *_ = saved
    layer: Layer = ctx.layer
    tables: Tables = ctx.tables
    (qkv, out, _, _), (qkv_grad, out_grad, _, _) = loras, grads
    qkv = folded(qkv, layer.input_norm_C)
    projections, constants = layer.shape.projections, ctx.constants
    has_thin = constants.has_thin

    low.up_gradient(
        low_out_TR, middle.output, up_grad_NR=out_grad.up_NR, nums_out=projections[1].nums_out, has_thin=has_thin
    )
    low.down_gradient(middle.low_TR, mixed_TQ, grad_MN=out_grad.down_MK, has_thin=has_thin)
    grad_qkv_TN = attention.attention_backward(
        layer.weights[1].product_back(middle.output), LowRank(middle.low_TR, out.down_MK),
        qkv_TN=qkv_TN, attended=attention.Attended(mixed_TQ, lse_HT), blocks_B3=tables.batch.blocks_B3,
        constants=constants,
    )  # fmt: skip

    grad, low_TM, projected_T = rope.rope_backward(
        grad_qkv_TN, kept_TN,
        rstd_T=rstd_T, low=LowRank(low_qkv_TM, qkv.up_NR), inputs=_head_inputs(layer, tables), constants=constants,
    )  # fmt: skip
    normed = Normed(x_TC, rstd_T, projected_T)
    low.up_gradient(low_qkv_TM, grad, up_grad_NR=qkv_grad.up_NR, nums_out=projections[0].nums_out, has_thin=has_thin)
    low.down_gradient_of_normed(
        low_TM, normed, weight_C=layer.input_norm_C, grad_MC=qkv_grad.down_MK, has_thin=has_thin
    )
    if not ctx.needs_input_grad[0]:
        return None
    return rows.residual_norm_backward(
        layer.weights[0].product_back(grad), LowRank(low_TM, qkv.down_MK),
        normed=normed, residual_TC=middle.grad_TC, constants=constants,
    )  # fmt: skip


def _constants(layer: Layer) -> LayerConstants:
    shape = layer.shape
    return LayerConstants(
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        eps=shape.eps,
        scaling=layer.scaling,
        to_fp8=isinstance(layer.weights[0], Fp8Weight),
        has_thin=layer.layout.rank <= sizes.LARGEST_THIN_RANK,
    )


def _head_inputs(layer: Layer, tables: Tables) -> rope.HeadInputs:
    return rope.HeadInputs(layer.qkv_bias_N, layer.head_norms_2D, tables.cos_TE, tables.sin_TE)
