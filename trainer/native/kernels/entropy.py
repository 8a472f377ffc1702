"""Cross entropy of a chunk of logits, which its gradient overwrites."""

import torch
import triton
import triton.language as tl
from torch import Tensor


def cross_entropy_in_place(logits_AV: Tensor, targets_A: Tensor) -> Tensor:
    """Each row's loss, float32; 0 where the target is negative. Overwrites the logits with the gradient of the sum."""
    loss_A = torch.empty(logits_AV.shape[0], device=logits_AV.device)
    _cross_entropy[(logits_AV.shape[0],)](logits_AV, targets_A, loss_A, logits_AV.shape[1], BLOCK=8192, num_warps=8)
    return loss_A


@triton.jit
def _cross_entropy(logits_ptr, targets_ptr, loss_ptr, num_words, BLOCK: tl.constexpr):
    """One row. Shapes: logits A x V; targets, loss A; V is `num_words`."""
    row = tl.program_id(0)
    logits_ptr += row.to(tl.int64) * num_words
    target = tl.load(targets_ptr + row)
    columns = tl.arange(0, BLOCK)
    largest = float("-inf")
    total = 0.0
    for start in range(0, num_words, BLOCK):
        is_there = start + columns < num_words
        logits = tl.load(logits_ptr + start + columns, mask=is_there, other=float("-inf")).to(tl.float32)
        new_largest = tl.maximum(largest, tl.max(logits, 0))
        total = total * tl.exp(largest - new_largest) + tl.sum(tl.exp(logits - new_largest), 0)
        largest = new_largest
    lse = largest + tl.log(total)
    counts = (target >= 0).to(tl.float32)
    picked = tl.load(logits_ptr + tl.maximum(target, 0)).to(tl.float32)
    tl.store(loss_ptr + row, (lse - picked) * counts)
    tl.debug_barrier()  # the picked logit is read before it is overwritten
    for start in range(0, num_words, BLOCK):
        is_there = start + columns < num_words
        logits = tl.load(logits_ptr + start + columns, mask=is_there, other=float("-inf")).to(tl.float32)
        grad = (tl.exp(logits - lse) - (start + columns == target).to(tl.float32)) * counts
        tl.store(logits_ptr + start + columns, grad.to(logits_ptr.dtype.element_ty), mask=is_there)
