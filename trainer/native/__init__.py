"""The native engine: 4-bit LoRA training of Llama-class models on packs, as fast as the GPU allows.

Pack -> `make_batches` (in the loader's thread) -> Batch -> `NativeModel.loss` -> gradient of one flat adapter.
"""

from trainer.native.batch import Batch, make_batches
from trainer.native.frozen import Precision
from trainer.native.isolation import largest_leak
from trainer.native.model import NativeModel, build_native

__all__ = ["Batch", "NativeModel", "Precision", "build_native", "largest_leak", "make_batches"]
