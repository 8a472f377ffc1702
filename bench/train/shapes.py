"""Models with random weights in the shapes of real ones, the GPU's matrix peak, and the start of a report."""

import time
from typing import Any, Final

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from bench.machine import machine, versions

SMOLLM2_135M: Final = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1_536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8_192,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e5},
    "tie_word_embeddings": True,
}
TINYLLAMA: Final = {
    "vocab_size": 32_000,
    "hidden_size": 2_048,
    "intermediate_size": 5_632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2_048,
    "rms_norm_eps": 1e-5,
}
LLAMA_8B: Final = {
    "vocab_size": 128_256,
    "hidden_size": 4_096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8_192,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
}
SHAPES: Final[dict[str, dict[str, Any]]] = {
    "SmolLM2-135M": SMOLLM2_135M,
    "TinyLlama-1.1B": TINYLLAMA,
    "Llama-3.1-8B": LLAMA_8B,
}
_PACKAGES: Final = ("torch", "triton", "transformers", "peft", "bitsandbytes", "trl", "liger-kernel", "unsloth")


def random_model(shape: dict[str, Any], *, device: str = "cuda") -> LlamaForCausalLM:
    """A 16-bit model with random weights, the same for the same shape and device."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return LlamaForCausalLM(LlamaConfig(**shape, bos_token_id=1, eos_token_id=2, pad_token_id=0))
    finally:
        torch.set_default_dtype(torch.float32)


def make_model(folder: str, *, tokenizer: str, shape: dict[str, Any] = TINYLLAMA, device: str = "cuda") -> None:
    """Writes a 16-bit model with random weights and this tokenizer. Every variant quantises it on load.

    Files of 2 GB, as the parts of a real base: they are read at the same time.
    """
    random_model(shape, device=device).save_pretrained(folder, max_shard_size="2GB")
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def matrix_weights(shape: dict[str, Any]) -> int:
    """The weights that a token is multiplied with: of the layers and of the head, without the embedding."""
    hidden, heads = shape["hidden_size"], shape["num_attention_heads"]
    attention = 2 * hidden * hidden * (1 + shape["num_key_value_heads"] / heads)
    layer = round(attention) + 3 * hidden * shape["intermediate_size"]
    return shape["num_hidden_layers"] * layer + shape["vocab_size"] * hidden


def flop_a_token(shape: dict[str, Any]) -> int:
    """The least number of floating-point operations for a token: a frozen base needs no gradient of its weights."""
    return 4 * matrix_weights(shape)


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
