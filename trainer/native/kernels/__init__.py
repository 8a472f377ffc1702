"""Triton kernels of the native engine, a file a stage of the layer. Imported only where they run.

All matrices are contiguous, row after row; numbers of rows are multiples of 128 (`trainer.native.batch` pads to it);
columns are multiples of the power of two that a kernel takes as its block. Sums are taken in float32.
Shapes: T tokens, C hidden columns, F columns of the MLP, N columns of a product, D columns of a head, R rank,
M ranks of all of a product's projections together (P: to the next power of two), V words of the vocabulary.

LoRA costs no pass of its own: a kernel that makes the input of a product also makes `low` = x A^T * scaling (T x M),
and the kernel that reads the product's output adds low B^T to what it reads. Backward the same with A and B exchanged.
"""
