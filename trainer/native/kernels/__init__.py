"""Triton kernels of the native engine, a file a stage of the layer; `records`, `rounding`, `sizes` and `thin` need no
Triton.

All matrices are contiguous, row after row, unless strides are passed; numbers of rows are multiples of `sizes.ROWS`;
numbers of columns are multiples of the power of two that a kernel takes as its block. Sums are taken in float32.

Shapes, in the names of tensors and in the docstrings of kernels (which leave `_ptr` out; scales in FP8 are T x 1):
T tokens, C hidden columns, F columns of the MLP (2F: gate, then up), H heads, G heads of keys and values, D columns of
a head, E = D / 2, Q = H D columns of queries, N columns of any projection's output (in `attention` and `rope`
(H + 2 G) D: queries, keys, values), R rank, M ranks of all linear layers of a projection together, A answer tokens,
V words of the vocabulary, B blocks of attention. Block sizes: BT rows; BC, BF, BN columns; P, PR: the power of two
that holds a rank.

LoRA costs no pass of its own: a kernel that makes the input of a projection also makes `low` = x A^T * scaling (T x M),
and the kernel that reads the projection's output adds low B^T to it. Backward the same with A and B exchanged. Above
rank 64 cuBLAS computes both (`thin`), and the kernels read low B^T as a whole.
"""
