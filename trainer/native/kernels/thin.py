"""LoRA's products by cuBLAS, where the kernels leave them out: at ranks for which a kernel has no shared memory.

At such ranks these products are not thin any more, and a pass of its own for each costs little beside the product.
"""

import torch
from torch import Tensor

from trainer.native.kernels.records import LowRank
from trainer.native.kernels.sizes import rank_block


def kernel_inputs(low: LowRank, *, nums_out: tuple[int, ...], has_thin: bool) -> tuple[Tensor, Tensor | None, int, int]:
    """low B^T as a kernel takes it: `low`, B, rank and its block; or the product itself, no B, 1 and 0.

    `nums_out`: columns of each linear layer, which has R columns of `low` and these rows of B of its own.
    """
    rank = low.matrix.shape[1]
    if has_thin:
        return low.low_TM, low.matrix, rank, rank_block(rank)
    product_TN = low.low_TM.new_empty(low.low_TM.shape[0], low.matrix.shape[0])
    for out, part, up in zip(*_split(product_TN, low.low_TM, low.matrix, nums_out=nums_out), strict=True):
        torch.mm(part, up.T, out=out)
    return product_TN, None, 1, 0


def kernel_inputs_backward(low: LowRank, *, has_thin: bool) -> tuple[Tensor, Tensor | None, int, int]:
    """low A as a kernel takes it: `low`, A, number of rows of A and their block; or the product itself, None, 1, 0."""
    num_low = low.matrix.shape[0]
    if has_thin:
        return low.low_TM, low.matrix, num_low, rank_block(num_low)
    return low.low_TM @ low.matrix, None, 1, 0


def low_of(x_TN: Tensor, thin_NM: Tensor, *, factor: float | Tensor) -> Tensor:
    """x thin * factor, T x M; a tensor of factors has one for each row."""
    low_TM = x_TN @ thin_NM
    return low_TM.mul_(factor if isinstance(factor, float) else factor[:, None])


def low_of_gradient(grad_TN: Tensor, up_NR: Tensor, *, nums_out: tuple[int, ...], scaling: float) -> Tensor:
    """grad B * scaling, T x M: each linear layer's columns with its own rows of B."""
    low_TM = grad_TN.new_empty(grad_TN.shape[0], up_NR.shape[1] * len(nums_out))
    for grad, low, up in zip(*_split(grad_TN, low_TM, up_NR, nums_out=nums_out), strict=True):
        torch.mm(grad, up, out=low)
    return low_TM.mul_(scaling)


def add_products(
    left_TM: Tensor, right_TN: Tensor, *, out_RN: Tensor, bounds: tuple[int, ...], weight_N: Tensor | None
) -> None:
    """Adds left^T right * weight to `out_RN` (float32), where each linear layer has R columns of `left_TM` of its own.

    `bounds`: first columns of all linear layers but the first.
    """
    nums = [end - start for start, end in zip((0, *bounds), (*bounds, right_TN.shape[1]), strict=True)]
    lefts = left_TM.split(out_RN.shape[0], 1)
    for left, right, out in zip(lefts, right_TN.split(nums, 1), out_RN.split(nums, 1), strict=True):
        product = _product_32(left.T, right)
        out += product if weight_N is None else product * weight_N


def _product_32(first: Tensor, second: Tensor) -> Tensor:
    if first.device.type == "cuda" and first.dtype != torch.float32:
        return torch.mm(first, second, out_dtype=torch.float32)
    return first.float() @ second.float()


def _split(
    wide_TN: Tensor, low_TM: Tensor, up_NR: Tensor, *, nums_out: tuple[int, ...]
) -> tuple[tuple[Tensor, ...], ...]:
    """The parts of each linear layer."""
    return wide_TN.split(nums_out, 1), low_TM.split(up_NR.shape[1], 1), up_NR.split(nums_out)
