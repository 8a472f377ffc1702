"""The values of each head, mixed by its scores, and what both directions share."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from trainer.native.kernels.columns import load_columns, mask_of
from trainer.native.kernels.fitted import fitted
from trainer.native.kernels.records import LayerConstants
from trainer.native.kernels.sizes import ATTENTION_BLOCK, Tile, attention_tiles, head_block

TABLE_BLOCK = tl.constexpr(ATTENTION_BLOCK)  # tokens of a block in the batch's table
LOG2_E = tl.constexpr(1.4426950408889634)


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
        HEADS=heads, KV_HEADS=constants.kv_heads, D=head_dim, DP=head_block(head_dim),
        grid=grid_of(blocks_B3.shape[0], heads), sizes=sizes_of,
    )  # fmt: skip
    return Attended(mixed_TQ, lse_HT)


def grid_of(num_blocks: int, num_heads: int) -> Callable[[Tile], tuple[int, int]]:
    """A program for each block of the table, or for each of its parts, and each head."""
    return lambda tile: (num_blocks * (ATTENTION_BLOCK // tile.rows), num_heads)


def sizes_of(tile: Tile) -> dict[str, int]:
    return {"BLOCK": tile.rows}


@triton.jit
def block_of(blocks_ptr, index, BLOCK: tl.constexpr):
    """First token of a block, first and end token of its document; all 0 for a block without tokens.

    Blocks of the table may be divided into smaller ones: `index` counts these. Shape: blocks B x 3.
    """
    PARTS: tl.constexpr = TABLE_BLOCK // BLOCK
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
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head. Shapes: qkv T x N; blocks B x 3; mixed T x Q; lse H x T."""
    N: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    first, start, end = block_of(blocks_ptr, tl.program_id(0), BLOCK)
    head = tl.program_id(1)
    key_head = HEADS + head // (HEADS // KV_HEADS)
    rows, columns = tl.arange(0, BLOCK), tl.arange(0, DP)
    dtype = qkv_ptr.dtype.element_ty
    is_there = first + rows < end
    q_ptr = qkv_ptr + first.to(tl.int64) * N + rows[:, None] * N + head * D + columns[None, :]
    q = tl.load(q_ptr, mask=mask_of(is_there, columns, D, DP), other=0.0)
    k_ptr = qkv_ptr + start.to(tl.int64) * N + key_head * D
    k_at = columns[:, None] + rows[None, :] * N
    v_at = rows[:, None] * N + KV_HEADS * D + columns[None, :]
    scale = softmax_scale * LOG2_E
    largest = tl.full([BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    mixed = tl.zeros([BLOCK, DP], tl.float32)
    for _ in range(start, first, BLOCK):
        keys = tl.load(k_ptr + k_at) if D == DP else tl.load(k_ptr + k_at, mask=(columns < D)[:, None], other=0.0)
        scores = tl.dot(q, keys, input_precision="ieee") * scale
        new_largest = tl.maximum(largest, tl.max(scores, 1))
        weights = tl.exp2(scores - new_largest[:, None])
        shrink = tl.exp2(largest - new_largest)
        total = total * shrink + tl.sum(weights, 1)
        values = load_columns(k_ptr + v_at, columns, D, DP)
        mixed = tl.dot(weights.to(dtype), values, mixed * shrink[:, None], input_precision="ieee")
        largest = new_largest
        k_ptr += BLOCK * N
    # The last block of keys belongs to the same tokens as the queries: only here is a mask needed.
    keys_there = is_there[None, :]
    if D < DP:
        keys_there = keys_there & (columns < D)[:, None]
    scores = tl.dot(q, tl.load(k_ptr + k_at, mask=keys_there, other=0.0), input_precision="ieee") * scale
    scores = tl.where(rows[:, None] >= rows[None, :], scores, float("-inf"))
    new_largest = tl.maximum(largest, tl.max(scores, 1))
    weights = tl.exp2(scores - new_largest[:, None])
    shrink = tl.exp2(largest - new_largest)
    total = total * shrink + tl.sum(weights, 1)
    values = tl.load(k_ptr + v_at, mask=mask_of(is_there, columns, D, DP), other=0.0)
    mixed = tl.dot(weights.to(dtype), values, mixed * shrink[:, None], input_precision="ieee")
    mixed = mixed / total[:, None]
    mixed_ptr += first.to(tl.int64) * (HEADS * D) + rows[:, None] * (HEADS * D) + head * D + columns[None, :]
    tl.store(mixed_ptr, mixed.to(dtype), mask=mask_of(is_there, columns, D, DP))
    tl.store(lse_ptr + head * num_rows + first + rows, new_largest + tl.log2(total), mask=is_there)
