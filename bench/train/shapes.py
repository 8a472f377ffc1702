"""Models with random weights in the shapes of real ones, the machine's matrix peak, and versions."""

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

RESULTS: Final = Path(__file__).parents[1] / "results"
_SHAPE: Final = {
    "vocab_size": 32_000,
    "hidden_size": 2_048,
    "intermediate_size": 5_632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2_048,
    "rms_norm_eps": 1e-5,
}
_PACKAGES: Final = ("torch", "triton", "transformers", "peft", "bitsandbytes", "trl", "liger-kernel", "unsloth")


def make_model(folder: str, *, tokenizer: str) -> None:
    """A 16-bit model of the shape with random weights, that every variant quantises on load."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(LlamaConfig(**_SHAPE, bos_token_id=1, eos_token_id=2, pad_token_id=0))
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def matrix_peak(size: int = 8_192, repeats: int = 20, *, gpu: int = 0) -> float:
    """FLOP/s of a large bfloat16 product of random matrices, measured here."""
    first, second = (torch.randn(size, size, device=f"cuda:{gpu}", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        first @ second
    torch.cuda.synchronize(gpu)
    started = time.perf_counter()
    for _ in range(repeats):
        first @ second
    torch.cuda.synchronize(gpu)
    return 2 * size**3 * repeats / (time.perf_counter() - started)


def machine(peak: float) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "gpu": torch.cuda.get_device_name(),
        "matrix_peak_tflops": peak / 1e12,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that matter, where they are installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
