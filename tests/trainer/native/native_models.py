"""Small models of every family that the native engine trains, with an adapter that is not zero, and packs for them."""

from collections.abc import Callable
from typing import Final

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from trainer.examples.encoder import Example, Pack

VOCABULARY: Final = 96
_SIZES: Final = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
}
_LLAMA3_ROPE: Final = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_YARN_ROPE: Final = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 128,
}

FAMILIES: Final[dict[str, Callable[[], PreTrainedModel]]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_SIZES)),
    "llama-one-kv-head": lambda: LlamaForCausalLM(LlamaConfig(**_SIZES | {"num_key_value_heads": 1})),
    "llama-tied": lambda: LlamaForCausalLM(LlamaConfig(**_SIZES, tie_word_embeddings=True)),
    "llama3-rope": lambda: LlamaForCausalLM(LlamaConfig(**_SIZES, rope_parameters=_LLAMA3_ROPE)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**_SIZES, sliding_window=None)),
    "qwen2-bias": lambda: Qwen2ForCausalLM(Qwen2Config(**_SIZES)),
    "qwen2-heads-of-48": lambda: Qwen2ForCausalLM(Qwen2Config(**_SIZES | {"head_dim": 48})),
    "qwen3-norms": lambda: Qwen3ForCausalLM(Qwen3Config(**_SIZES)),
    "qwen3-heads-of-48": lambda: Qwen3ForCausalLM(Qwen3Config(**_SIZES | {"head_dim": 48})),
    "qwen3-yarn": lambda: Qwen3ForCausalLM(Qwen3Config(**_SIZES, rope_parameters=_YARN_ROPE)),
}


def make_peft_model(family: str, *, rank: int = 8, seed: int = 0) -> PeftModel:
    """A float32 model with random weights, biases and norms, and an adapter whose B is not zero."""
    torch.manual_seed(seed)
    model = FAMILIES[family]()
    for name, parameter in model.named_parameters():
        if "norm" in name or name.endswith("bias"):
            nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.3)
        elif "embed" not in name and "lm_head" not in name:
            nn.init.normal_(parameter, std=0.15)
    model.requires_grad_(False)
    return add_adapter(model, rank=rank)


def add_adapter(model: PreTrainedModel, *, rank: int = 8) -> PeftModel:
    """The model with an adapter on all linear layers, B random."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.05)
    return model


def make_packs(lengths: list[list[int]], *, seed: int = 0) -> list[Pack]:
    """Packs of documents of these lengths, about a third of each prompt."""
    generator = torch.Generator().manual_seed(seed)
    packs = []
    for numbers in lengths:
        ids = [torch.randint(VOCABULARY, (number,), generator=generator).tolist() for number in numbers]
        packs.append(Pack(tuple(Example(row, tokens, max(1, len(tokens) // 3), 0) for row, tokens in enumerate(ids))))
    return packs
