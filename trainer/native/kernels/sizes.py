"""Block sizes."""

from typing import Final

LEAST_DOT: Final = 16  # the smallest side of a matrix product in Triton
ROWS: Final = 64  # rows of a matrix that one program computes
ATTENTION_BLOCK: Final = 64  # tokens of one document that a program of attention computes


def block(num_columns: int, *, most: int) -> int:
    """The largest power of two that divides the number of columns, up to `most`."""
    return min(most, num_columns & -num_columns)


def rank_block(rank: int) -> int:
    """The power of two that holds the rank."""
    return max(LEAST_DOT, 1 << (rank - 1).bit_length())
