"""The native engine: 4-bit LoRA training of models of the Llama shape on packs, as fast as the GPU allows.

Pack -> `make_batches` (in the loader's thread) -> Batch -> `NativeModel.loss` -> gradient of one flat adapter.
Which models: `families.py`. What a layer computes: `reference.py`, in plain PyTorch; `fused.py`, with `kernels/`.
"""

from trainer.native.adapter import offload_adapter
from trainer.native.batch import Batch, make_batches
from trainer.native.frozen import Precision
from trainer.native.loss import Scores
from trainer.native.merged.hidden import is_merged
from trainer.native.model import NativeModel, build_merged, build_native
from trainer.native.trial import capture, fit_to_memory, with_kernels_that_work

__all__ = [
    "Batch",
    "NativeModel",
    "Precision",
    "Scores",
    "build_merged",
    "build_native",
    "capture",
    "fit_to_memory",
    "is_merged",
    "make_batches",
    "offload_adapter",
    "with_kernels_that_work",
]
