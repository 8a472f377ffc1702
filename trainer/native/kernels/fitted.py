"""Kernels with tiles of several sizes: the largest whose program fits into a GPU's shared memory is launched.

How much a program takes depends on the rank, the compute type, the GPU and Triton's version, and follows from no simple
formula. So the tiles are compiled, the largest first, until one fits. That is done once for each set of constants;
Triton keeps what it compiled on disk.
"""

from collections.abc import Callable
from typing import Any, Final

from triton.compiler.compiler import max_shared_mem
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

from trainer.native.kernels.sizes import Tile

_TENSOR_MEMORY: Final = 512  # columns that a program can have on GPUs with tensor memory


class DoesNotFitError(Exception):
    """Not even the smallest tile of a kernel fits."""


def fitted(tiles: tuple[Tile, ...], *, num_warps: int = 4) -> Callable[[Any], "FittedKernel"]:
    """Decorates a kernel with its tiles, the largest first."""
    return lambda kernel: FittedKernel(kernel, tiles, num_warps)


class FittedKernel:
    """A kernel and its tiles, the largest first."""

    def __init__(self, kernel: Any, tiles: tuple[Tile, ...], num_warps: int) -> None:  # Triton has no types
        self.kernel = kernel
        self.tiles = tiles
        self.num_warps = num_warps
        self._fitting: dict[tuple[Any, ...], Tile] = {}  # by GPU, compute type and constants

    def launch(
        self,
        *arguments: Any,  # tensors, numbers and None
        grid: Callable[[Tile], tuple[int, ...]],
        sizes: Callable[[Tile], dict[str, int]],  # the constants that depend on the tile
        **constants: int | bool,
    ) -> None:
        """Launches the kernel with the largest tile that fits; DoesNotFitError where none does."""
        if isinstance(self.kernel, JITFunction):
            largest = sizes(self.tiles[0])
            key = (driver.active.get_current_device(), arguments[0].dtype, *largest.values(), *constants.values())
            tile = self._fitting.get(key)
            if tile is None:
                tile = self._fitting[key] = self._first_that_fits(arguments, sizes=sizes, constants=constants)
        else:
            tile = self.tiles[0]  # Triton's interpreter has no shared memory
        options = {"num_warps": self.num_warps, "num_stages": tile.stages}
        self.kernel[grid(tile)](*arguments, **constants, **sizes(tile), **options)

    def _first_that_fits(
        self, arguments: tuple[Any, ...], *, sizes: Callable[[Tile], dict[str, int]], constants: dict[str, Any]
    ) -> Tile:
        room, needed = max_shared_mem(driver.active.get_current_device()), 0
        for tile in self.tiles:
            options = {"num_warps": self.num_warps, "num_stages": tile.stages}
            compiled = self.kernel.warmup(*arguments, grid=(1,), **constants, **sizes(tile), **options)
            needed = compiled.metadata.shared
            tensor_memory = getattr(compiled.metadata, "tmem_size", None) or 0
            if needed <= room and tensor_memory <= _TENSOR_MEMORY:
                return tile
        raise DoesNotFitError(
            f"{self.kernel.fn.__name__} takes {needed:,} bytes of shared memory with its smallest tiles, this GPU has"
            f" {room:,}"
        )
