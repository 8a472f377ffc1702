"""The families of models that the native engine trains; an entry here says all that differs between them.

A family has the Llama shape if its transformers model is made of `model.embed_tokens`, `model.layers`, `model.norm` and
`lm_head`, and if a layer adds to x first attention(RMSNorm(x)), with rotary positions, then SwiGLU(RMSNorm(x)).
To add a family: an entry here, and a small model in tests/trainer/native/native_models.py. The tests compare its logits
and gradients with those of transformers and PEFT.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal


@dataclass(frozen=True)
class Family:
    """Names of a decoder layer's modules and of its configuration's fields. The defaults are Llama's."""

    attention: str = "self_attn"
    qkv: tuple[str, str, str] = ("q_proj", "k_proj", "v_proj")  # may have a bias; no other linear layer may
    out: str = "o_proj"
    head_norms: tuple[str, str] | None = None  # of queries and of keys, in the attention
    mlp: str = "mlp"
    gate_up: tuple[str, str] = ("gate_proj", "up_proj")
    down: str = "down_proj"
    input_norm: str = "input_layernorm"
    mlp_norm: str = "post_attention_layernorm"
    window: Literal["layer", "config"] = "layer"  # which of them names the attention window, as `sliding_window`
    # Fields of the configuration with the one value that this engine computes; a field that is missing has it.
    required: Mapping[str, object] = field(default_factory=lambda: {"hidden_act": "silu"})


FAMILIES: Final[Mapping[str, Family]] = {  # by `model_type`
    "llama": Family(),
    "mistral": Family(window="config"),
    "qwen2": Family(),
    "qwen3": Family(head_norms=("q_norm", "k_norm")),
}
