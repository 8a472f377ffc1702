"""GGUF files to convert: the real one, changed; and small ones, written by the package gguf."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import torch
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

TOKENS = ["<unk>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ab"]
METADATA: dict[str, Any] = {
    "llama.block_count": 2, "llama.context_length": 128, "llama.embedding_length": 64, "llama.feed_forward_length": 96,
    "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2, "llama.rope.dimension_count": 16,
    "llama.attention.layer_norm_rms_epsilon": 1e-5, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS, "tokenizer.ggml.token_type": [3] * 3 + [1] * (len(TOKENS) - 3),
    "tokenizer.ggml.merges": ["a b"], "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.chat_template": "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}",
}  # fmt: skip


LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8_192,
}  # fmt: skip


def small_llama(*, ties: bool, rope: Mapping[str, Any] | None = None) -> LlamaForCausalLM:
    """A float32 model of random weights that bfloat16 can hold, of the sizes in METADATA."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENS), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-5, tie_word_embeddings=ties, initializer_range=0.3,
        rope_parameters=dict(rope or {"rope_type": "default", "rope_theta": 10_000.0}),
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    for weight in model.parameters():
        weight.copy_(weight.bfloat16())
    return model


def write_gguf(
    path: Path, model: LlamaForCausalLM, changes: Mapping[str, Any] | None = None, *, architecture: str = "llama"
) -> Path:
    """The model as a GGUF file, with METADATA but for `changes`; None leaves a value out."""
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in (METADATA | dict(changes or {})).items():
        match value:
            case str():
                writer.add_string(name, value)
            case bool():
                writer.add_bool(name, value)
            case int():
                writer.add_uint32(name, value)
            case float():
                writer.add_float32(name, value)
            case list():
                writer.add_array(name, value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    state = model.state_dict()
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    for name, weight in state.items():
        stored = names.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(stored, _as_stored(name, weight).numpy())
    rope = model.config.rope_parameters
    if rope["rope_type"] == "llama3":
        unscaled = rope["rope_theta"] ** -(torch.arange(0, 16, 2) / 16)
        writer.add_tensor("rope_freqs.weight", (unscaled / model.model.rotary_emb.inv_freq).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _as_stored(name: str, weight: Tensor) -> Tensor:
    """Queries and keys have the rows of each head in pairs, one of the first half and one of the second."""
    if name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = weight.shape[0] // 16
        return torch.stack(weight.view(heads, 2, 8, -1).unbind(1), 2).reshape(weight.shape)
    return weight
