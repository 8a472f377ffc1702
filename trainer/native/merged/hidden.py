"""From tokens and an adapter to hidden columns, on a GPU as two CUDA graphs over compiled layers: forward and backward.

A small base launches some 3,000 kernels a step; from Python that takes longer than the GPU needs to compute them.
Shapes: T tokens, L layers, P values of the adapter in a layer, N columns of queries, keys and values, Q columns of
queries, C hidden columns, V words, B blocks of queries or keys.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PretrainedConfig

from trainer.native import reference
from trainer.native.batch import Batch
from trainer.native.families import FAMILIES
from trainer.native.kernels.records import LayerConstants
from trainer.native.kernels.sizes import ATTENTION_BLOCK, capability_of, why_no_kernels
from trainer.native.merged.base import MergedBase
from trainer.native.merged.layer import Matrices, after_attention, before_attention
from trainer.native.shape import Rope, Shape

_MOST_VALUES: Final = 500_000_000  # in all matrices of a base that is trained merged
_TOKENS_A_DOCUMENT: Final = 32  # a captured batch has room for blocks of documents that are this long on average

# From queries, keys and values (T x N) and the batch's table of blocks to the mixed values (T x Q).
Attention = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class MergedHidden:
    """The merged model up to its last layer. `captured` computes batches of one size, everything else runs as it is."""

    base: MergedBase
    rope: Rope
    embedding_VC: Tensor
    captured: Callable[..., Tensor] | None = None
    num_tokens: int = 0  # of a captured batch

    def __call__(self, adapter_LP: Tensor, batch: Batch) -> Tensor:
        """The last layer's output, T x C; differentiable in the adapter. The batch is on the device."""
        inputs = (adapter_LP, batch.ids_T, batch.positions_T, batch.blocks_B3)
        num_blocks = max_blocks(self.num_tokens)
        if self.captured and len(batch.ids_T) == self.num_tokens and len(batch.blocks_B3) <= num_blocks:
            blocks_B3 = functional.pad(batch.blocks_B3, (0, 0, 0, num_blocks - len(batch.blocks_B3)))
            return self.captured(_CopiedGradient.apply(adapter_LP), *inputs[1:3], blocks_B3)
        return self._compute(*inputs, attention=_attention(batch, self.base.layout.shape))

    def capture(self, adapter_LP: Tensor, *, num_tokens: int) -> "MergedHidden":
        """The same function, fast for batches of this many tokens.

        Compiles for some 10 s, captures for some 3 s. torch.OutOfMemoryError where such a batch does not fit.
        """
        device = adapter_LP.device
        # Blocks that begin and end at 0 are empty: kernels read and write nothing for them.
        blocks_B3 = torch.zeros(max_blocks(num_tokens), 3, dtype=torch.int32, device=device)
        first_K = torch.arange(0, num_tokens, ATTENTION_BLOCK, dtype=torch.int32, device=device)
        blocks_B3[: len(first_K)] = torch.stack([first_K, first_K, first_K + ATTENTION_BLOCK], 1).clamp(max=num_tokens)
        ids_T = torch.zeros(num_tokens, dtype=torch.int64, device=device)
        positions_T = torch.arange(num_tokens, dtype=torch.int32, device=device) % ATTENTION_BLOCK
        compiled = partial(torch.compile, dynamic=False, fullgraph=True)
        function = partial(
            self._compute,
            attention=kernel_attention(self.base.layout.shape),
            before=compiled(before_attention),
            after=compiled(after_attention),
        )
        inputs = (adapter_LP.detach().requires_grad_(), ids_T, positions_T, blocks_B3)
        with warnings.catch_warnings():
            # The inputs' gradients are made on other streams than the inputs, which here is no mistake.
            warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream")
            captured: Any = torch.cuda.make_graphed_callables(function, inputs)
        return replace(self, captured=captured, num_tokens=num_tokens)

    def _compute(
        self,
        adapter_LP: Tensor,
        ids_T: Tensor,
        positions_T: Tensor,
        blocks_B3: Tensor,
        *,
        attention: Attention,
        before: Callable[..., Tensor] = before_attention,
        after: Callable[..., Tensor] = after_attention,
    ) -> Tensor:
        base, shape = self.base, self.base.layout.shape
        merged = [stack.unbind() for stack in base.merge(adapter_LP)]
        cos_TE, sin_TE = self.rope.tables(positions_T)
        x_TC = self.embedding_VC[ids_T].requires_grad_(torch.is_grad_enabled())  # then all layers compile to one
        for vectors, *stacked in zip(base.vectors, *merged, strict=True):
            matrices = Matrices(*stacked)
            qkv_TN = before(x_TC, matrices.qkv_NC, vectors, cos_TE=cos_TE, sin_TE=sin_TE, shape=shape)
            x_TC = after(x_TC, attention(qkv_TN, blocks_B3), matrices, vectors.norms_2C[1], eps=shape.eps)
        return x_TC


def max_blocks(num_tokens: int) -> int:
    """Blocks of attention that a captured batch of this many tokens has room for."""
    return num_tokens // ATTENTION_BLOCK + num_tokens // _TOKENS_A_DOCUMENT


def _attention(batch: Batch, shape: Shape) -> Attention:
    """Attention for a batch that is not captured."""
    why_not = why_no_kernels(capability_of(batch.ids_T.device), head_dim=shape.head_dim)
    return plain_attention(batch, shape) if why_not else kernel_attention(shape)


def plain_attention(batch: Batch, shape: Shape) -> Attention:
    """Attention in plain PyTorch; the documents are those of the batch, whatever the table of blocks says."""

    def plain(qkv_TN: Tensor, _: Tensor) -> Tensor:
        heads = qkv_TN.unflatten(1, (-1, shape.head_dim))
        q_THD, k_TGD, v_TGD = heads.split([shape.heads, shape.kv_heads, shape.kv_heads], 1)
        return reference.attention(q_THD, k_TGD, v_TGD, batch).flatten(1)

    return plain


def is_merged(config: PretrainedConfig, device: torch.device) -> bool:
    """Whether a base of this configuration is trained merged on this device. Then a step costs the same at any rank.

    It is if the base is so small that launching its kernels takes longer than computing them.
    """
    if config.model_type not in FAMILIES:
        return False
    hidden, heads, kv_heads = config.hidden_size, config.num_attention_heads, config.num_key_value_heads
    head_dim = getattr(config, "head_dim", None) or hidden // heads
    values = hidden * (head_dim * (2 * heads + 2 * kv_heads) + 3 * config.intermediate_size)
    if values * config.num_hidden_layers > _MOST_VALUES:
        return False
    return why_no_kernels(capability_of(device), head_dim=head_dim) is None


def kernel_attention(shape: Shape) -> Attention:
    """Attention by the kernels, over the documents of the table of blocks."""
    return lambda qkv_TN, blocks_B3: _KernelAttention.apply(qkv_TN, blocks_B3, _constants(shape))


class _CopiedGradient(torch.autograd.Function):
    """The same values. Their gradient is a copy: a captured backward pass overwrites its own with the next one."""

    @staticmethod
    def forward(_: Any, values_LP: Tensor) -> Tensor:
        """L x P."""
        return values_LP.view_as(values_LP)

    @staticmethod
    def backward(_: Any, grad_LP: Tensor) -> Tensor:
        """L x P."""
        return grad_LP.clone()


class _KernelAttention(torch.autograd.Function):  # its ctx takes any attribute
    @staticmethod
    def forward(ctx: Any, qkv_TN: Tensor, blocks_B3: Tensor, constants: LayerConstants) -> Tensor:
        """T x Q."""
        from trainer.native.kernels import attention  # Triton is loaded only where it runs

        ctx.constants = constants
        attended = attention.attention_forward(qkv_TN, blocks_B3, constants=ctx.constants)
        ctx.save_for_backward(qkv_TN, blocks_B3, attended.mixed_TQ, attended.lse_HT)
        return attended.mixed_TQ

    @staticmethod
    def backward(ctx: Any, grad_TQ: Tensor) -> tuple[Tensor, None, None]:
        """T x N."""
        from trainer.native.kernels import attention

        qkv_TN, blocks_B3, mixed_TQ, lse_HT = ctx.saved_tensors
        grad_qkv_TN = attention.attention_backward(
            grad_TQ.contiguous(), None,
            qkv_TN=qkv_TN, attended=attention.Attended(mixed_TQ, lse_HT), blocks_B3=blocks_B3,
            constants=ctx.constants,
        )  # fmt: skip
        return grad_qkv_TN, None, None


def _constants(shape: Shape) -> LayerConstants:
    """Without LoRA, which is in the matrices."""
    return LayerConstants(
        shape.heads, shape.kv_heads, shape.head_dim, shape.eps, scaling=0.0, to_fp8=False, has_thin=False
    )
