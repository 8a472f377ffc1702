"""Causal attention within the documents of a batch, where most documents are far shorter than the batch.

FlashAttention (Dao 2022, 2023) with a table of blocks instead of a grid over the longest document: each program takes
one block of one document, so no program runs without work. Queries, keys and values are read where the projection
left them, side by side in a row, and their gradients are written the same way. The heads that share keys and values
are summed in registers. FlashAttention-2 spends most of its backward time on such batches in atomic sums of the
queries' gradient and in sums over those heads.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from trainer.native.kernels.fitted import fitted
from trainer.native.kernels.records import LayerConstants, LowRank
from trainer.native.kernels.sizes import ATTENTION_BLOCK, LEAST_DOT, Tile, attention_tiles, tiles
from trainer.native.kernels.thin import kernel_inputs_backward

_TABLE_BLOCK = tl.constexpr(ATTENTION_BLOCK)  # tokens of a block in the batch's table
_LOG2_E = tl.constexpr(1.4426950408889634)


@dataclass(frozen=True)
class Attended:
    """The output of attention, and what its backward pass needs of the forward pass."""

    mixed_TQ: Tensor  # the values, mixed by the softmax of the scores
    lse_HT: Tensor  # base-2 logarithm of the sum of exp(scores), float32


def attention_forward(qkv_TN: Tensor, blocks_B3: Tensor, *, constants: LayerConstants) -> Attended:
    """Each head's values, mixed by its scores. `blocks_B3` is the batch's table of blocks."""
    heads, head_dim, num_rows = constants.heads, constants.head_dim, qkv_TN.shape[0]
    mixed_TQ = qkv_TN.new_empty(num_rows, heads * head_dim)
    lse_HT = torch.empty(heads, num_rows, device=qkv_TN.device)
    _attention_forward.launch(
        qkv_TN, blocks_B3, mixed_TQ, lse_HT,
        num_rows, head_dim**-0.5,
        HEADS=heads, KV_HEADS=constants.kv_heads, D=head_dim,
        grid=_grid(blocks_B3.shape[0], heads), sizes=_block_of_tile,
    )  # fmt: skip
    return Attended(mixed_TQ, lse_HT)


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
        HEADS=heads, D=head_dim, R=rank, P=ranks,
        grid=lambda tile: (num_rows // tile.rows, heads),
        sizes=lambda tile: {"BT": tile.rows},
    )  # fmt: skip
    arguments = (qkv_TN, grad_TQ, attended.lse_HT, delta_HT, blocks_B3, grad_qkv_TN, num_rows, head_dim**-0.5)
    sizes = {"HEADS": heads, "KV_HEADS": kv_heads, "D": head_dim}
    num_blocks = blocks_B3.shape[0]
    _keys_backward.launch(*arguments, **sizes, grid=_grid(num_blocks, kv_heads), sizes=_block_of_tile)
    _queries_backward.launch(*arguments, **sizes, grid=_grid(num_blocks, heads), sizes=_block_of_tile)
    return grad_qkv_TN


def _grid(num_blocks: int, num_heads: int) -> Callable[[Tile], tuple[int, int]]:
    """A program for each block of the table, or for each of its parts, and each head."""
    return lambda tile: (num_blocks * (ATTENTION_BLOCK // tile.rows), num_heads)


def _block_of_tile(tile: Tile) -> dict[str, int]:
    return {"BLOCK": tile.rows}


@triton.jit
def _block(blocks_ptr, index, BLOCK: tl.constexpr):
    """First token of a block, first and end token of its document; all 0 for a block without tokens.

    Blocks of the table may be divided into smaller ones: `index` counts these. Shape: blocks B x 3.
    """
    PARTS: tl.constexpr = _TABLE_BLOCK // BLOCK
    if PARTS == 1:
        blocks_ptr += index * 3
        first, start, end = tl.load(blocks_ptr), tl.load(blocks_ptr + 1), tl.load(blocks_ptr + 2)
    else:
        blocks_ptr += index // PARTS * 3
        first = tl.load(blocks_ptr) + index % PARTS * BLOCK
        start, end = tl.load(blocks_ptr + 1), tl.load(blocks_ptr + 2)
        has_some = (first < end).to(first.dtype)
        first, start, end = first * has_some, start * has_some, end * has_some
    return first, start, end


@fitted(attention_tiles(stages=2))
@triton.jit
def _attention_forward(
    qkv_ptr, blocks_ptr, mixed_ptr, lse_ptr,
    num_rows, softmax_scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head. Shapes: qkv T x N; blocks B x 3; mixed T x Q; lse H x T."""
    N: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    first, start, end = _block(blocks_ptr, tl.program_id(0), BLOCK)
    head = tl.program_id(1)
    key_head = HEADS + head // (HEADS // KV_HEADS)
    rows, columns = tl.arange(0, BLOCK), tl.arange(0, D)
    dtype = qkv_ptr.dtype.element_ty
    is_there = first + rows < end
    q_ptr = qkv_ptr + first.to(tl.int64) * N + rows[:, None] * N + head * D + columns[None, :]
    q = tl.load(q_ptr, mask=is_there[:, None], other=0.0)
    k_ptr = qkv_ptr + start.to(tl.int64) * N + key_head * D
    k_at = columns[:, None] + rows[None, :] * N
    v_at = rows[:, None] * N + KV_HEADS * D + columns[None, :]
    scale = softmax_scale * _LOG2_E
    largest = tl.full([BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    mixed = tl.zeros([BLOCK, D], tl.float32)
    for _ in range(start, first, BLOCK):
        scores = tl.dot(q, tl.load(k_ptr + k_at), input_precision="ieee") * scale
        new_largest = tl.maximum(largest, tl.max(scores, 1))
        weights = tl.exp2(scores - new_largest[:, None])
        shrink = tl.exp2(largest - new_largest)
        total = total * shrink + tl.sum(weights, 1)
        mixed = tl.dot(weights.to(dtype), tl.load(k_ptr + v_at), mixed * shrink[:, None], input_precision="ieee")
        largest = new_largest
        k_ptr += BLOCK * N
    # The last block of keys belongs to the same tokens as the queries: only here is a mask needed.
    scores = tl.dot(q, tl.load(k_ptr + k_at, mask=is_there[None, :], other=0.0), input_precision="ieee") * scale
    scores = tl.where(rows[:, None] >= rows[None, :], scores, float("-inf"))
    new_largest = tl.maximum(largest, tl.max(scores, 1))
    weights = tl.exp2(scores - new_largest[:, None])
    shrink = tl.exp2(largest - new_largest)
    total = total * shrink + tl.sum(weights, 1)
    values = tl.load(k_ptr + v_at, mask=is_there[:, None], other=0.0)
    mixed = tl.dot(weights.to(dtype), values, mixed * shrink[:, None], input_precision="ieee")
    mixed = mixed / total[:, None]
    mixed_ptr += first.to(tl.int64) * (HEADS * D) + rows[:, None] * (HEADS * D) + head * D + columns[None, :]
    tl.store(mixed_ptr, mixed.to(dtype), mask=is_there[:, None])
    tl.store(lse_ptr + head * num_rows + first + rows, new_largest + tl.log2(total), mask=is_there)


@fitted(tiles())
@triton.jit
def _finish_gradient(
    grad_ptr, low_ptr, down_ptr, mixed_ptr, delta_ptr,
    num_rows,
    HEADS: tl.constexpr, D: tl.constexpr, R: tl.constexpr, P: tl.constexpr, BT: tl.constexpr,
):  # fmt: skip
    """Adds low A to the gradient of the mixed values, if R > 0. `delta`: the sum over each row of it * mixed.

    Shapes: grad, mixed T x Q; low T x R; down (A) R x Q; delta H x T. If P is 0, low is T x Q and there is no down.
    """
    Q: tl.constexpr = HEADS * D
    first = tl.program_id(0).to(tl.int64) * BT
    head = tl.program_id(1)
    rows, columns = tl.arange(0, BT), head * D + tl.arange(0, D)
    at = first * Q + rows[:, None] * Q + columns[None, :]
    grad = tl.load(grad_ptr + at).to(tl.float32)
    if R > 0:
        if P > 0:
            ranks = tl.arange(0, P)
            low = tl.load(low_ptr + first * R + rows[:, None] * R + ranks[None, :], mask=ranks[None, :] < R, other=0.0)
            down = tl.load(down_ptr + ranks[:, None] * Q + columns[None, :], mask=ranks[:, None] < R, other=0.0)
            grad = tl.dot(low, down, grad, input_precision="ieee")
        else:
            grad += tl.load(low_ptr + at).to(tl.float32)
        tl.store(grad_ptr + at, grad.to(grad_ptr.dtype.element_ty))
    delta = tl.sum(grad * tl.load(mixed_ptr + at).to(tl.float32), 1)
    tl.store(delta_ptr + head * num_rows + first + rows, delta)


@fitted(attention_tiles(stages=1))
@triton.jit
def _keys_backward(
    qkv_ptr, grad_ptr, lse_ptr, delta_ptr, blocks_ptr, grad_qkv_ptr,
    num_rows, softmax_scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of one block of keys and values of one head, summed over the queries' heads that share them.

    Shapes: qkv, grad_qkv T x N; grad T x Q; lse, delta H x T; blocks B x 3.
    """
    N: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    Q: tl.constexpr = HEADS * D
    GROUP: tl.constexpr = HEADS // KV_HEADS
    # In reverse: keys have most work where queries have least.
    first, _, end = _block(blocks_ptr, tl.num_programs(0) - 1 - tl.program_id(0), BLOCK)
    key_head = tl.program_id(1)
    rows, columns = tl.arange(0, BLOCK), tl.arange(0, D)
    dtype = qkv_ptr.dtype.element_ty
    is_there = first + rows < end
    qkv_ptr += first.to(tl.int64) * N
    key_at = rows[:, None] * N + (HEADS + key_head) * D + columns[None, :]
    keys = tl.load(qkv_ptr + key_at, mask=is_there[:, None], other=0.0)
    values = tl.load(qkv_ptr + key_at + KV_HEADS * D, mask=is_there[:, None], other=0.0)
    scale = softmax_scale * _LOG2_E
    grad_keys = tl.zeros([BLOCK, D], tl.float32)
    grad_values = tl.zeros([BLOCK, D], tl.float32)
    for member in range(GROUP):
        head = key_head * GROUP + member
        q_ptr = qkv_ptr + head * D
        do_ptr = grad_ptr + first.to(tl.int64) * Q + head * D
        for token in range(first, end, BLOCK):
            queries_there = token + rows < end
            q = tl.load(q_ptr + rows[:, None] * N + columns[None, :], mask=queries_there[:, None], other=0.0)
            do = tl.load(do_ptr + rows[:, None] * Q + columns[None, :], mask=queries_there[:, None], other=0.0)
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
    tl.store(grad_qkv_ptr + key_at, (grad_keys * softmax_scale).to(dtype), mask=is_there[:, None])
    tl.store(grad_qkv_ptr + key_at + KV_HEADS * D, grad_values.to(dtype), mask=is_there[:, None])


@fitted(attention_tiles(stages=3))
@triton.jit
def _queries_backward(
    qkv_ptr, grad_ptr, lse_ptr, delta_ptr, blocks_ptr, grad_qkv_ptr,
    num_rows, softmax_scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of one block of queries of one head. Shapes as in `_keys_backward`."""
    N: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    Q: tl.constexpr = HEADS * D
    first, start, end = _block(blocks_ptr, tl.program_id(0), BLOCK)
    head = tl.program_id(1)
    key_head = HEADS + head // (HEADS // KV_HEADS)
    rows, columns = tl.arange(0, BLOCK), tl.arange(0, D)
    dtype = qkv_ptr.dtype.element_ty
    is_there = first + rows < end
    q_at = first.to(tl.int64) * N + rows[:, None] * N + head * D + columns[None, :]
    q = tl.load(qkv_ptr + q_at, mask=is_there[:, None], other=0.0)
    do_at = first.to(tl.int64) * Q + rows[:, None] * Q + head * D + columns[None, :]
    do = tl.load(grad_ptr + do_at, mask=is_there[:, None], other=0.0)
    lse = tl.load(lse_ptr + head * num_rows + first + rows, mask=is_there, other=0.0)
    delta = tl.load(delta_ptr + head * num_rows + first + rows, mask=is_there, other=0.0)
    k_ptr = qkv_ptr + start.to(tl.int64) * N + key_head * D + rows[:, None] * N + columns[None, :]
    scale = softmax_scale * _LOG2_E
    grad_q = tl.zeros([BLOCK, D], tl.float32)
    for token in range(start, first + 1, BLOCK):
        keys_there = token + rows < end
        keys = tl.load(k_ptr, mask=keys_there[:, None], other=0.0)
        values = tl.load(k_ptr + KV_HEADS * D, mask=keys_there[:, None], other=0.0)
        scores = tl.dot(q, tl.trans(keys), input_precision="ieee") * scale
        weights = tl.exp2(scores - lse[:, None])
        weights = tl.where(first + rows[:, None] >= token + rows[None, :], weights, 0.0)
        grad_weights = tl.dot(do, tl.trans(values), input_precision="ieee")
        grad_scores = (weights * (grad_weights - delta[:, None])).to(dtype)
        grad_q = tl.dot(grad_scores, keys, grad_q, input_precision="ieee")
        k_ptr += BLOCK * N
    tl.store(grad_qkv_ptr + q_at, (grad_q * softmax_scale).to(dtype), mask=is_there[:, None])
