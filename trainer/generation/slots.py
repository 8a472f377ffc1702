"""Keys and values of the rows of a batch, in which rows come and go."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache

# Shapes: R rows and C columns of the buffers, N rows and W columns in use, M rows that join, H heads, D head size.

_SPARE_COLUMNS: Final = 128  # so many steps go by before the buffers are copied again


class Extent:
    """Which part of the buffers is in use: the first rows, and the columns from `start` to before `end`.

    All rows end at the same column. A row of n tokens has the last n columns; those before them are masked.
    """

    def __init__(self) -> None:
        self.num_rows = self.start = self.end = 0

    @property
    def width(self) -> int:
        """Columns in use."""
        return self.end - self.start


class SlotCache(Cache):
    """A cache of transformers to which rows of different lengths are added, and from which they are taken."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.layers: list[_Layer] = []
        self._extent = Extent()
        self.num_rows = self.num_columns = 0  # of the buffers
        self.version = 0  # another one where the buffers are others

    @property
    def column(self) -> int:
        """The buffers' column that the next forward pass writes."""
        return self._extent.end

    def written_at(self, column: Tensor) -> Cache:
        """The whole buffers as a cache whose next column is told by a tensor, so that no size changes."""
        return Cache(layers=[_FixedLayer(layer, column) for layer in self.layers])

    def reserve_column(self) -> None:
        """To be called before a forward pass over one token of each row, and `advance` after it."""
        self._reserve(self._extent.num_rows, left=0, right=1)

    def advance(self) -> None:
        """Counts the column that a forward pass has written."""
        self._extent.end += 1

    def join(self, prompts: DynamicCache) -> None:
        """Adds the rows of a cache that a forward pass over prompts, padded on their left, has filled."""
        extent, width = self._extent, prompts.get_seq_length()
        if not self.layers:
            self.layers = [_Layer(extent, like=layer) for layer in prompts.layers]
        num = prompts.layers[0].keys.shape[0]
        if extent.num_rows:
            left, right = max(0, width - extent.width), 0
        else:
            left, right, extent.start, extent.end = 0, width, 0, 0
        self._reserve(extent.num_rows + num, left=left, right=right)
        extent.start, extent.end = extent.start - left, extent.end + right
        for layer, joining in zip(self.layers, prompts.layers, strict=True):
            layer.join(joining, left=left)
        extent.num_rows += num

    def keep(self, moves: Sequence[tuple[int, int]], *, num_rows: int, width: int) -> None:
        """Copies rows (from, to) over others, then keeps in use the first `num_rows` and the last `width` columns."""
        if moves and num_rows:
            origins, targets = torch.tensor(moves, device=self.layers[0].keys.device).T
            for layer in self.layers:
                layer.copy_rows(origins, targets)
        self._extent.num_rows, self._extent.start = num_rows, self._extent.end - width

    def _reserve(self, num_rows: int, *, left: int, right: int) -> None:
        """Sees to so many rows, and to free columns on both sides."""
        extent = self._extent
        if num_rows <= self.num_rows and left <= extent.start and extent.end + right <= self.num_columns:
            return
        self.num_rows = 1 << (num_rows - 1).bit_length()
        self.num_columns = left + extent.width + right + _SPARE_COLUMNS
        self.version += 1
        for layer in self.layers:
            layer.move(self.num_rows, self.num_columns, left=left)
        extent.start, extent.end = left, left + extent.width


class _Layer(CacheLayerMixin):
    """Buffers of one layer (R x H x C x D). What is not in use holds numbers, too: a mask would not hide a NaN."""

    is_sliding = False  # a model with a sliding window gets all columns, and its mask

    def __init__(self, extent: Extent, *, like: CacheLayerMixin) -> None:
        super().__init__()
        self._extent = extent
        self.keys: Tensor = like.keys[:0]
        self.values: Tensor = like.values[:0]
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to be done."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Writes the next column; all columns in use (N x H x W + 1 x D), without a copy."""
        extent = self._extent
        rows, columns = slice(extent.num_rows), slice(extent.start, extent.end + 1)
        self.keys[rows, :, extent.end : extent.end + 1] = key_states
        self.values[rows, :, extent.end : extent.end + 1] = value_states
        return self.keys[rows, :, columns], self.values[rows, :, columns]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """The columns of a mask, and the number of the first."""
        return self._extent.width + query_length, 0

    def get_seq_length(self) -> int:
        """Columns in use."""
        return self._extent.width

    def get_max_length(self) -> int:
        """No fixed one."""
        return -1

    def move(self, num_rows: int, num_columns: int, *, left: int) -> None:
        """Copies what is in use to new buffers, behind `left` columns."""
        extent = self._extent
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros((num_rows, old.shape[1], num_columns, old.shape[3]))
            if extent.num_rows:
                used = old[: extent.num_rows, :, extent.start : extent.end]
                new[: extent.num_rows, :, left : left + extent.width] = used
            setattr(self, name, new)

    def join(self, joining: CacheLayerMixin, *, left: int) -> None:
        """Writes rows (M x H x W x D) behind those in use, at the end of the columns, of which `left` are new."""
        start, end, first = self._extent.start, self._extent.end, self._extent.num_rows
        for buffer, states in ((self.keys, joining.keys), (self.values, joining.values)):
            last, middle = first + states.shape[0], end - states.shape[2]
            buffer[:first, :, start : start + left] = 0
            buffer[first:last, :, start:middle] = 0
            buffer[first:last, :, middle:end] = states

    def copy_rows(self, origins: Tensor, targets: Tensor) -> None:
        """Copies rows over others; no row is both."""
        columns = slice(self._extent.start, self._extent.end)
        for buffer in (self.keys, self.values):
            buffer[targets, :, columns] = buffer[origins, :, columns]


class _FixedLayer(CacheLayerMixin):
    """Buffers of one layer that are read as a whole."""

    is_sliding = False

    def __init__(self, layer: _Layer, column: Tensor) -> None:
        super().__init__()
        self.keys, self.values, self._column = layer.keys, layer.values, column
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to be done."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Writes the column of all rows (R x H x 1 x D); all rows and columns."""
        self.keys.index_copy_(2, self._column, key_states)
        self.values.index_copy_(2, self._column, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:  # noqa: ARG002
        """The columns of a mask, and the number of the first."""
        return self.keys.shape[2], 0

    def get_seq_length(self) -> int:
        """Positions are given, so none is counted."""
        return 0

    def get_max_length(self) -> int:
        """The columns of the buffers."""
        return self.keys.shape[2]
