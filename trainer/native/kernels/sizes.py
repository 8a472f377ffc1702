"""Sizes of the blocks that kernels are compiled with, and which GPUs and bases can have them."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

import torch

LEAST_DOT: Final = 16  # the smallest side of a matrix product in Triton
ROWS: Final = 64  # rows of a matrix that one program computes, at most
ATTENTION_BLOCK: Final = 64  # tokens of one document that a program of attention computes, at most
LARGEST_THIN_RANK: Final = 64  # LoRA's products are computed inside the kernels up to it, and above by cuBLAS

_HEAD_MULTIPLE: Final = 16  # of a head's columns
_LARGEST_HEAD: Final = 256
_MULTIPLE: Final = 32  # of the columns of a base's matrices
# Triton 3.6 compiles for 7.5 as well, but its products do not use the tensor cores there.
_LEAST_CAPABILITY: Final = (8, 0)


@dataclass(frozen=True)
class Tile:
    """What a program of a kernel computes at once. The shared memory that it takes grows with all three."""

    rows: int
    columns: int  # at most
    stages: int  # of columns or rows that are loaded ahead


def tiles(*, columns: int = 128, stages: int = 3) -> tuple[Tile, ...]:
    """The tiles of a kernel, from the one that is fastest where it fits to one that fits everywhere."""
    sizes = ((ROWS, columns, stages), (ROWS, 64, stages), (ROWS, 64, 2), (32, 64, 2), (32, 32, 1), (16, 32, 1))
    return tuple(dict.fromkeys(Tile(rows, min(most, columns), min(ahead, stages)) for rows, most, ahead in sizes))


def attention_tiles(*, stages: int) -> tuple[Tile, ...]:
    """The same for attention, where rows are those of queries and of keys."""
    sizes = ((ATTENTION_BLOCK, stages), (ATTENTION_BLOCK, 2), (ATTENTION_BLOCK, 1), (32, 2), (32, 1), (16, 1))
    return tuple(dict.fromkeys(Tile(rows, 0, min(ahead, stages)) for rows, ahead in sizes))


def block(num_columns: int, *, most: int) -> int:
    """The largest power of two that divides the number of columns, up to `most`."""
    return min(most, num_columns & -num_columns)


def rank_block(rank: int) -> int:
    """The power of two that holds the rank."""
    return max(LEAST_DOT, 1 << (rank - 1).bit_length())


def head_block(head_dim: int) -> int:
    """The power of two that holds a head's columns; half of it is a side of products, too."""
    return max(2 * LEAST_DOT, 1 << (head_dim - 1).bit_length())


def capability_of(device: torch.device) -> tuple[int, int] | None:
    """The compute capability of a GPU; None for a CPU."""
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else None


def why_no_kernels(capability: tuple[int, int] | None, *, head_dim: int, columns: tuple[int, ...] = ()) -> str | None:
    """Why the kernels do not run on this GPU for this base, in one line; None where they do.

    `columns`: the numbers of columns of the base's matrices, without those of heads.
    """
    if capability is None:
        return "there is no GPU"
    if capability < _LEAST_CAPABILITY:
        least, found = (".".join(map(str, numbers)) for numbers in (_LEAST_CAPABILITY, capability))
        return f"they need a GPU of compute capability {least}, this has {found}"
    if find_spec("triton") is None:
        return "Triton is not installed"
    if odd := [num for num in columns if num % _MULTIPLE]:
        return f"they need sizes that {_MULTIPLE} divides, this base has {', '.join(map(str, odd))}"
    if head_dim % _HEAD_MULTIPLE or head_dim > _LARGEST_HEAD:
        return (
            f"they need heads of up to {_LARGEST_HEAD} columns that {_HEAD_MULTIPLE} divides, this base has {head_dim}"
        )
    return None
