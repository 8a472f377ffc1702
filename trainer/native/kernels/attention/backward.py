"""The gradients of queries, keys and values."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from trainer.native.kernels.attention.forward import LOG2_E, Attended, block_of, grid_of, sizes_of
from trainer.native.kernels.columns import load_columns, mask_of, store_columns
from trainer.native.kernels.fitted import fitted
from trainer.native.kernels.records import LayerConstants, LowRank
from trainer.native.kernels.sizes import LEAST_DOT, attention_tiles, head_block, tiles
from trainer.native.kernels.thin import kernel_inputs_backward


def attention_backward(
    grad_TQ: Tensor,
    low: LowRank | None,
    *,
    qkv_TN: Tensor,
    attended: Attended,
    blocks_B3: Tensor,
    constants: LayerConstants,
) -> Tensor:
    """The gradient of queries, keys and values, T x N, from the gradient of the mixed values, `grad_TQ` + low A.

    Overwrites `grad_TQ` with that sum, where there is a `low`.
    """
    heads, kv_heads, head_dim, num_rows = constants.heads, constants.kv_heads, constants.head_dim, qkv_TN.shape[0]
    grad_qkv_TN, delta_HT = torch.empty_like(qkv_TN), torch.empty_like(attended.lse_HT)
    low_in, down, rank, ranks = None, None, 0, LEAST_DOT
    if low:
        low_in, down, rank, ranks = kernel_inputs_backward(low, has_thin=constants.has_thin)
    _finish_gradient.launch(
        grad_TQ, low_in, down, attended.mixed_TQ, delta_HT,
        num_rows,
        HEADS=heads, D=head_dim, DP=head_block(head_dim), R=rank, P=ranks,
        grid=lambda tile: (num_rows // tile.rows, heads),
        sizes=lambda tile: {"BT": tile.rows},
    )  # fmt: skip
    arguments = (qkv_TN, grad_TQ, attended.lse_HT, delta_HT, blocks_B3, grad_qkv_TN, num_rows, head_dim**-0.5)
    sizes = {"HEADS": heads, "KV_HEADS": kv_heads, "D": head_dim, "DP": head_block(head_dim)}
    num_blocks = blocks_B3.shape[0]
    _keys_backward.launch(*arguments, **sizes, grid=grid_of(num_blocks, kv_heads), sizes=sizes_of)
    _queries_backward.launch(*arguments, **sizes, grid=grid_of(num_blocks, heads), sizes=sizes_of)
    return grad_qkv_TN


@fitted(tiles())
@triton.jit
def _finish_gradient(
    grad_ptr, low_ptr, down_ptr, mixed_ptr, delta_ptr,
    num_rows,
    HEADS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, R: tl.constexpr, P: tl.constexpr, BT: tl.constexpr,
):  # fmt: skip
    """Adds low A to the gradient of the mixed values, if R > 0. `delta`: the sum over each row of it * mixed.

    Shapes: grad, mixed T x Q; low T x R; down (A) R x Q; delta H x T. If P is 0, low is T x Q and there is no down.
    """
    Q: tl.constexpr = HEADS * D
    first = tl.program_id(0).to(tl.int64) * BT
    head = tl.program_id(1)
    rows, of_head = tl.arange(0, BT), tl.arange(0, DP)
    columns = head * D + of_head
    at = first * Q + rows[:, None] * Q + columns[None, :]
    grad = load_columns(grad_ptr + at, of_head, D, DP).to(tl.float32)
    if R > 0:
        if P > 0:
            ranks = tl.arange(0, P)
            low = tl.load(low_ptr + first * R + rows[:, None] * R + ranks[None, :], mask=ranks[None, :] < R, other=0.0)
            down_at = ranks[:, None] * Q + columns[None, :]
            down = tl.load(down_ptr + down_at, mask=mask_of(ranks < R, of_head, D, DP), other=0.0)
            grad = tl.dot(low, down, grad, input_precision="ieee")
        else:
            grad += load_columns(low_ptr + at, of_head, D, DP).to(tl.float32)
        store_columns(grad_ptr + at, grad.to(grad_ptr.dtype.element_ty), of_head, D, DP)
    delta = tl.sum(grad * load_columns(mixed_ptr + at, of_head, D, DP).to(tl.float32), 1)
    tl.store(delta_ptr + head * num_rows + first + rows, delta)


@fitted(attention_tiles(stages=1))
@triton.jit
def _keys_backward(
    qkv_ptr, grad_ptr, lse_ptr, delta_ptr, blocks_ptr, grad_qkv_ptr,
    num_rows, softmax_scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of one block of keys and values of one head, summed over the queries' heads that share them.

    Shapes: qkv, grad_qkv T x N; grad T x Q; lse, delta H x T; blocks B x 3.
    """
    N: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    Q: tl.constexpr = HEADS * D
    GROUP: tl.constexpr = HEADS // KV_HEADS
    # In reverse: keys have most work where queries have least.
    first, _, end = block_of(blocks_ptr, tl.num_programs(0) - 1 - tl.program_id(0), BLOCK)
    key_head = tl.program_id(1)
    rows, columns = tl.arange(0, BLOCK), tl.arange(0, DP)
    dtype = qkv_ptr.dtype.element_ty
    is_there = first + rows < end
    qkv_ptr += first.to(tl.int64) * N
    key_at = rows[:, None] * N + (HEADS + key_head) * D + columns[None, :]
    keys_there = mask_of(is_there, columns, D, DP)
    keys = tl.load(qkv_ptr + key_at, mask=keys_there, other=0.0)
    values = tl.load(qkv_ptr + key_at + KV_HEADS * D, mask=keys_there, other=0.0)
    scale = softmax_scale * LOG2_E
    grad_keys = tl.zeros([BLOCK, DP], tl.float32)
    grad_values = tl.zeros([BLOCK, DP], tl.float32)
    for member in range(GROUP):
        head = key_head * GROUP + member
        q_ptr = qkv_ptr + head * D
        do_ptr = grad_ptr + first.to(tl.int64) * Q + head * D
        for token in range(first, end, BLOCK):
            queries_there = token + rows < end
            heads_there = mask_of(queries_there, columns, D, DP)
            q = tl.load(q_ptr + rows[:, None] * N + columns[None, :], mask=heads_there, other=0.0)
            do = tl.load(do_ptr + rows[:, None] * Q + columns[None, :], mask=heads_there, other=0.0)
            lse = tl.load(lse_ptr + head * num_rows + token + rows, mask=queries_there, other=0.0)
            delta = tl.load(delta_ptr + head * num_rows + token + rows, mask=queries_there, other=0.0)
            scores = tl.dot(keys, tl.trans(q), input_precision="ieee") * scale
            weights = tl.exp2(scores - lse[None, :])
            weights = tl.where(token + rows[None, :] >= first + rows[:, None], weights, 0.0)
            grad_values = tl.dot(weights.to(dtype), do, grad_values, input_precision="ieee")
            grad_weights = tl.dot(values, tl.trans(do), input_precision="ieee")
            grad_scores = (weights * (grad_weights - delta[None, :])).to(dtype)
            grad_keys = tl.dot(grad_scores, q, grad_keys, input_precision="ieee")
            q_ptr += BLOCK * N
            do_ptr += BLOCK * Q
    grad_qkv_ptr += first.to(tl.int64) * N
    tl.store(grad_qkv_ptr + key_at, (grad_keys * softmax_scale).to(dtype), mask=keys_there)
    tl.store(grad_qkv_ptr + key_at + KV_HEADS * D, grad_values.to(dtype), mask=keys_there)


@fitted(attention_tiles(stages=3))
@triton.jit
def _queries_backward(
    qkv_ptr, grad_ptr, lse_ptr, delta_ptr, blocks_ptr, grad_qkv_ptr,
    num_rows, softmax_scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of one block of queries of one head. Shapes as in `_keys_backward`."""
    N: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    Q: tl.constexpr = HEADS * D
    first, start, end = block_of(blocks_ptr, tl.program_id(0), BLOCK)
    head = tl.program_id(1)
    key_head = HEADS + head // (HEADS // KV_HEADS)
    rows, columns = tl.arange(0, BLOCK), tl.arange(0, DP)
    dtype = qkv_ptr.dtype.element_ty
    is_there = first + rows < end
    q_at = first.to(tl.int64) * N + rows[:, None] * N + head * D + columns[None, :]
    q_there = mask_of(is_there, columns, D, DP)
    q = tl.load(qkv_ptr + q_at, mask=q_there, other=0.0)
    do_at = first.to(tl.int64) * Q + rows[:, None] * Q + head * D + columns[None, :]
    do = tl.load(grad_ptr + do_at, mask=q_there, other=0.0)
    lse = tl.load(lse_ptr + head * num_rows + first + rows, mask=is_there, other=0.0)
    delta = tl.load(delta_ptr + head * num_rows + first + rows, mask=is_there, other=0.0)
    k_ptr = qkv_ptr + start.to(tl.int64) * N + key_head * D + rows[:, None] * N + columns[None, :]
    scale = softmax_scale * LOG2_E
    grad_q = tl.zeros([BLOCK, DP], tl.float32)
    for token in range(start, first + 1, BLOCK):
        keys_there = token + rows < end
        heads_there = mask_of(keys_there, columns, D, DP)
        keys = tl.load(k_ptr, mask=heads_there, other=0.0)
        values = tl.load(k_ptr + KV_HEADS * D, mask=heads_there, other=0.0)
        scores = tl.dot(q, tl.trans(keys), input_precision="ieee") * scale
        weights = tl.exp2(scores - lse[:, None])
        weights = tl.where(first + rows[:, None] >= token + rows[None, :], weights, 0.0)
        grad_weights = tl.dot(do, tl.trans(values), input_precision="ieee")
        grad_scores = (weights * (grad_weights - delta[:, None])).to(dtype)
        grad_q = tl.dot(grad_scores, keys, grad_q, input_precision="ieee")
        k_ptr += BLOCK * N
    tl.store(grad_qkv_ptr + q_at, (grad_q * softmax_scale).to(dtype), mask=q_there)
