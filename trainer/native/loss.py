"""Cross entropy over the answer tokens alone, a chunk at a time, so that no matrix of all logits exists.

Shapes: T tokens, A answer tokens, C hidden columns, V words of the vocabulary.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from trainer.examples.tensors import IGNORED
from trainer.native.reference import rms_norm

CHUNK_LOGITS: Final = 2**27  # of one chunk: 268 MB in 16 bit, 4,194 tokens of 32,000 words

# From logits (A x V) and targets to each row's loss; overwrites the logits with the gradient of the sum.
EntropyInPlace = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Head:
    """The last norm and the matrix from hidden columns to logits."""

    norm_C: Tensor
    eps: float
    weight_VC: Tensor

    def normed(self, x_TC: Tensor, indices_A: Tensor) -> Tensor:
        """These rows of x after the norm, A x C."""
        return rms_norm(x_TC.index_select(0, indices_A), self.norm_C, self.eps)


@dataclass(frozen=True)
class Scores:
    """How well each of A answer tokens is predicted after the true tokens before it, in the order of the batch."""

    loss_A: Tensor  # cross entropy, float32
    is_right_A: Tensor  # bool: greedy decoding gives this token; of tokens with the same logit it takes the first


def answer_loss(
    x_TC: Tensor, head: Head, *, answer_indices_A: Tensor, targets_A: Tensor, entropy: EntropyInPlace
) -> Tensor:
    """The sum of the answer tokens' cross entropy, float32. Differentiable once, in x.

    Gradients are computed along with the loss (as in Liger Kernel, Hsu 2024): backward only scales them.
    """
    return _ChunkedLoss.apply(head.normed(x_TC, answer_indices_A), targets_A, head.weight_VC, entropy)


@torch.no_grad()
def answer_scores(
    x_TC: Tensor, head: Head, *, answer_indices_A: Tensor, targets_A: Tensor, entropy: EntropyInPlace
) -> Scores:
    """Loss and rightness of each answer token. Does not wait for the GPU."""
    h_AC = head.normed(x_TC, answer_indices_A)
    loss_A = torch.empty(len(targets_A), device=h_AC.device)
    is_right_A = torch.empty(len(targets_A), dtype=torch.bool, device=h_AC.device)
    for chunk in _chunks(len(targets_A), num_words=len(head.weight_VC)):
        logits_AV = h_AC[chunk] @ head.weight_VC.T
        is_right_A[chunk] = logits_AV.argmax(1) == targets_A[chunk]
        loss_A[chunk] = entropy(logits_AV, targets_A[chunk])  # overwrites the logits
    return Scores(loss_A, is_right_A)


def cross_entropy_in_place(logits_AV: Tensor, targets_A: Tensor) -> Tensor:
    """Each row's loss, 0 where the target is ignored. Overwrites the logits with the gradient of the sum."""
    logits_32 = logits_AV.float()
    loss_A = functional.cross_entropy(logits_32, targets_A, ignore_index=IGNORED, reduction="none")
    is_target = targets_A != IGNORED
    grad_AV = logits_32.softmax(1)
    grad_AV[torch.arange(len(targets_A), device=targets_A.device), targets_A.clamp(min=0)] -= 1
    logits_AV.copy_(grad_AV * is_target[:, None])
    return loss_A


class _ChunkedLoss(torch.autograd.Function):  # its ctx takes any attribute
    @staticmethod
    def forward(ctx: Any, h_AC: Tensor, targets_A: Tensor, head_VC: Tensor, entropy: EntropyInPlace) -> Tensor:
        grad_AC = torch.empty_like(h_AC)
        loss = torch.zeros((), device=h_AC.device)
        for chunk in _chunks(len(targets_A), num_words=len(head_VC)):
            logits_AV = h_AC[chunk] @ head_VC.T
            loss += entropy(logits_AV, targets_A[chunk]).sum()
            torch.mm(logits_AV, head_VC, out=grad_AC[chunk])
        ctx.save_for_backward(grad_AC)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (grad_AC,) = ctx.saved_tensors
        return (grad_AC * grad).to(grad_AC.dtype), None, None, None


def _chunks(num_tokens: int, *, num_words: int) -> Iterator[slice]:
    """Parts of the answer tokens whose logits are few enough to exist at the same time."""
    size = max(1, CHUNK_LOGITS // num_words)
    return (slice(first, first + size) for first in range(0, num_tokens, size))
