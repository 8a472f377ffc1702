"""A model with random weights in the shape of TinyLlama, the GPU's matrix peak, and the start of a report."""

import time
from typing import Any, Final

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from bench.machine import machine, versions

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
    """Writes a 16-bit model with random weights and this tokenizer. Every variant quantises it on load."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(LlamaConfig(**_SHAPE, bos_token_id=1, eos_token_id=2, pad_token_id=0))
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def matrix_peak(size: int = 8_192, repeats: int = 20, *, gpu: int = 0) -> float:
    """FLOP/s of a large bfloat16 product of random matrices, measured on this GPU."""
    first, second = (torch.randn(size, size, device=f"cuda:{gpu}", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        first @ second
    torch.cuda.synchronize(gpu)
    started = time.perf_counter()
    for _ in range(repeats):
        first @ second
    torch.cuda.synchronize(gpu)
    return 2 * size**3 * repeats / (time.perf_counter() - started)


def measured_on(peak: float, **more: Any) -> dict[str, Any]:
    """The machine with its GPU and this matrix peak, and the versions of packages: the start of every report."""
    gpu = {"gpu": torch.cuda.get_device_name(), "matrix_peak_tflops": peak / 1e12, "cuda": torch.version.cuda}
    return {"machine": machine(**gpu, **more), "versions": versions(_PACKAGES)}
