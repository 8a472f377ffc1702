"""Causal attention within the documents of a batch, where most documents are far shorter than the batch.

FlashAttention (Dao 2022, 2023) with a table of blocks instead of a grid over the longest document: each program takes
one block of one document, so no program runs without work. Queries, keys and values are read where the projection
left them, side by side in a row, and their gradients are written the same way. The heads that share keys and values
are summed in registers. FlashAttention-2 spends most of its backward time on such batches in atomic sums of the
queries' gradient and in sums over those heads.
"""

from trainer.native.kernels.attention.backward import attention_backward
from trainer.native.kernels.attention.forward import Attended, attention_forward

__all__ = ["Attended", "attention_backward", "attention_forward"]
