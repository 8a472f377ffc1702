"""GPUs that are not there: Triton compiles for them and checks their shared memory, and what it launches does nothing.

The layer runs on tensors without values ("meta"), so it launches what it launches on such a GPU, without computing it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver

from trainer.examples.encoder import Example
from trainer.native.adapter import AdapterLayout
from trainer.native.batch import make_batch
from trainer.native.families import FAMILIES
from trainer.native.frozen import DenseWeight, Fp8Weight
from trainer.native.fused import fused_layer
from trainer.native.kernels.rounding import FP8, Fp8Matrix
from trainer.native.layer import Layer, Tables
from trainer.native.shape import Shape

# Most bytes of shared memory that a program can have ("opt-in" in CUDA's properties), by compute capability.
SHARED_BYTES: Final = {
    (7, 5): 65_536,
    (8, 0): 166_912,
    (8, 6): 101_376,
    (8, 9): 101_376,
    (9, 0): 232_448,
    (10, 0): 232_448,
    (12, 0): 101_376,
}
_TOKENS: Final = 128


@dataclass(frozen=True)
class Launch:
    """A kernel that was launched."""

    kernel: str
    shared_bytes: int
    constants: dict[str, Any]  # and Triton's own options


@dataclass
class AbsentGpu:
    """Stands in for Triton's driver, with one GPU of this compute capability."""

    capability: tuple[int, int]
    shared_bytes: int
    launches: list[Launch] = field(default_factory=list)

    @property
    def utils(self) -> "AbsentGpu":
        """Where Triton looks for the functions below."""
        return self

    def get_current_device(self) -> int:
        """A number of its own for each kind of GPU, as compiled kernels are kept by it."""
        return 1_000 * self.shared_bytes + self._arch

    def get_current_stream(self, _: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self._arch, 32)

    def get_device_properties(self, _: int) -> dict[str, int]:
        return {"max_shared_mem": self.shared_bytes}

    def load_binary(self, *_: object) -> tuple[None, None, int, int, int]:
        """Module, function, registers, spilled registers, most threads of a program."""
        return None, None, 0, 0, 1_024

    def launcher_cls(self, source: Any, metadata: Any) -> Any:
        """Called once for each kernel; the result at each of its launches."""
        names = source.fn.arg_names
        constants = {names[path[0]]: value for path, value in source.constants.items()}
        made = {"num_warps": metadata.num_warps, "num_stages": metadata.num_stages}

        def launch(*_: Any) -> None:
            self.launches.append(Launch(metadata.name, metadata.shared, {**constants, **made}))

        return launch

    @property
    def _arch(self) -> int:
        return 10 * self.capability[0] + self.capability[1]


@contextmanager
def absent_gpu(capability: tuple[int, int], *, shared_bytes: int | None = None) -> Iterator[AbsentGpu]:
    """Triton believes in this GPU inside the block. `shared_bytes`: if other than what such GPUs have."""
    gpu, before = AbsentGpu(capability, shared_bytes or SHARED_BYTES[capability]), driver._active
    driver.set_active(gpu)
    try:
        yield gpu
    finally:
        driver._active = before


def launch_layer(shape: Shape, *, rank: int, dtype: torch.dtype, to_fp8: bool) -> None:
    """A decoder layer forward and backward, by all kernels that training launches for it, on the GPU of the block.

    DoesNotFitError where a kernel does not fit.
    """
    layout = AdapterLayout(shape, rank)

    def empty(*sizes: int, dtype: torch.dtype = dtype) -> torch.Tensor:
        return torch.empty(*sizes, dtype=dtype, device="meta")

    def weight(num_out: int, num_in: int) -> DenseWeight | Fp8Weight:
        if not to_fp8:
            return DenseWeight(empty(num_out, num_in))
        rows, columns = (
            Fp8Matrix(empty(first, second, dtype=FP8), empty(first, 1, dtype=torch.float32))
            for first, second in ((num_out, num_in), (num_in, num_out))
        )
        return Fp8Weight(rows, columns, dtype)

    layer = Layer(
        shape=shape,
        layout=layout,
        scaling=1.0,
        weights=tuple(weight(projection.num_out, projection.num_in) for projection in shape.projections),
        input_norm_C=empty(shape.hidden),
        mlp_norm_C=empty(shape.hidden),
        qkv_bias_N=empty(shape.projections[0].num_out) if shape.family is FAMILIES["qwen2"] else None,
        head_norms_2D=empty(2, shape.head_dim) if shape.family.head_norms else None,
    )
    batch = make_batch([Example(0, [1] * _TOKENS, 1, 0)], max_tokens=_TOKENS).to(torch.device("meta"))
    halves = [empty(_TOKENS, shape.head_dim // 2, dtype=torch.float32) for _ in range(2)]
    x_TC = empty(_TOKENS, shape.hidden).requires_grad_()
    values_P = empty(layout.num_values, dtype=torch.float32).requires_grad_()
    y_TC = fused_layer(x_TC, values_P, layer, Tables(batch, *halves))
    y_TC.backward(torch.empty_like(y_TC))
