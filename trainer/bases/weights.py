"""The configuration and the weights of a GGUF file of the Llama family, as transformers names and orders them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import gguf
import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from contract.errors import UserError
from trainer.bases.gguf_file import GgufFile, StoredTensor

# Names of the file's tensors, and of transformers'.
_OUTSIDE: Final = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER: Final = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_SIZES: Final = ("context_length", "embedding_length", "feed_forward_length", "attention.head_count", "block_count")
_ROPE_FACTORS: Final = "rope_freqs.weight"


def make_config(file: GgufFile) -> LlamaConfig:
    """The file's configuration; UserError lists all that a Llama of transformers cannot have."""
    for name in _SIZES:
        size = _value(file, name)
        if not (isinstance(size, int) and 0 < size < 2**31):
            raise UserError(f"{file.path} is damaged, or no plain Llama: {name} = {size!r}, expected a size")
    if _value(file, "block_count") > len(file.tensors):
        raise UserError(
            f"{file.path} is damaged: it has {len(file.tensors)} weights for {_value(file, 'block_count')} layers"
        )
    head_dim = _value(file, "attention.key_length", _value(file, "rope.dimension_count", None))
    heads = _value(file, "attention.head_count")
    hidden = _value(file, "embedding_length")
    problems = [
        f"{name} = {found!r}"
        for name, found, expected in (
            ("expert_count", _value(file, "expert_count", 0), 0),
            ("rope.dimension_count", _value(file, "rope.dimension_count", head_dim), head_dim),
            ("attention.value_length", _value(file, "attention.value_length", head_dim), head_dim),
        )
        if found != expected
    ]
    if problems:
        raise UserError(f"{file.path} is no plain Llama: {', '.join(problems)}")
    try:
        return LlamaConfig(
            architectures=["LlamaForCausalLM"],
            vocab_size=_tensor(file, "token_embd.weight").shape[0],
            hidden_size=hidden,
            intermediate_size=_value(file, "feed_forward_length"),
            num_hidden_layers=_value(file, "block_count"),
            num_attention_heads=heads,
            num_key_value_heads=_value(file, "attention.head_count_kv", heads),
            head_dim=head_dim or hidden // heads,
            rms_norm_eps=_value(file, "attention.layer_norm_rms_epsilon"),
            max_position_embeddings=_value(file, "context_length"),
            rope_parameters=_rope(file, head_dim or hidden // heads),
            tie_word_embeddings="output.weight" not in file.tensors,
            dtype="bfloat16",
            bos_token_id=file.metadata.get("tokenizer.ggml.bos_token_id"),
            eos_token_id=file.metadata.get("tokenizer.ggml.eos_token_id"),
            pad_token_id=file.metadata.get("tokenizer.ggml.padding_token_id"),
        )
    except StrictDataclassError as error:
        raise UserError(f"{file.path} is no plain Llama: {' '.join(str(error).split())}") from error


def open_weights(file: GgufFile, config: LlamaConfig) -> Iterator[tuple[str, Tensor]]:
    """Each weight by transformers' name, dequantised and rounded to bfloat16.

    UserError at once where weights are missing, unknown, of another shape, or reach beyond the file's end.
    """
    names = _names(file, config)
    _require_whole(file)
    return _weights(file, config, names)


def _require_whole(file: GgufFile) -> None:
    size = file.path.stat().st_size
    end = max(stored.offset + _num_bytes(file, name) for name, stored in file.tensors.items())
    if end > size:
        raise UserError(
            f"{file.path} is cut off: it has {size:,} bytes, and its weights end at byte {end:,}; fetch it again"
        )


def _value(file: GgufFile, name: str, *default: Any) -> Any:  # whatever the file has under this name
    found = file.metadata.get(f"{file.metadata['general.architecture']}.{name}", *default)
    if found is None and not default:
        raise UserError(f"{file.path} has no value {name!r} in its metadata, which every Llama has")
    return found


def _tensor(file: GgufFile, name: str) -> StoredTensor:
    if name not in file.tensors:
        raise UserError(f"{file.path} has no weights {name!r}, which every Llama has")
    return file.tensors[name]


def _rope(file: GgufFile, head_dim: int) -> dict[str, Any]:
    """Rotary positions; UserError for a scaling that is not known."""
    theta = _value(file, "rope.freq_base", 10_000.0)
    kind = _value(file, "rope.scaling.type", "none")
    if _ROPE_FACTORS in file.tensors:
        return {"rope_theta": theta, **_llama3_scaling(file, theta, head_dim)}
    if kind == "linear":
        return {"rope_theta": theta, "rope_type": "linear", "factor": _value(file, "rope.scaling.factor")}
    if kind != "none":
        raise UserError(f"{file.path} scales its positions in a way ({kind}) that cannot be converted")
    return {"rope_theta": theta, "rope_type": "default"}


def _llama3_scaling(file: GgufFile, theta: float, head_dim: int) -> dict[str, Any]:
    """The scaling of Llama 3.1 and later, of which the file holds only the divisor of each frequency.

    UserError where these are not the divisors that the published constants give.
    """
    _require_whole(file)
    divisors = _dequantised(file, _ROPE_FACTORS, np.memmap(file.path, np.uint8, "r"))
    factor, low, high, length = float(divisors.max()), 1.0, 4.0, 8_192
    turns = length * theta ** -(np.arange(0, head_dim, 2) / head_dim) / (2 * np.pi)  # over the original context
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    if divisors.shape != turns.shape or not np.allclose(divisors, 1 / ((1 - smooth) / factor + smooth), rtol=1e-3):
        raise UserError(f"{file.path} scales its positions by divisors ({_ROPE_FACTORS}) other than those of Llama 3")
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": length,
    }


def _names(file: GgufFile, config: LlamaConfig) -> dict[str, str]:
    """transformers' name of each of the file's tensors."""
    names = dict(_OUTSIDE)
    for layer in range(config.num_hidden_layers):
        for name, new_name in _IN_LAYER.items():
            names[f"blk.{layer}.{name}.weight"] = f"model.layers.{layer}.{new_name}.weight"
    with torch.device("meta"):
        expected = {name: tuple(weight.shape) for name, weight in LlamaForCausalLM(config).state_dict().items()}
    if config.tie_word_embeddings:
        names.pop("output.weight")
    missing = [name for name in names if name not in file.tensors]
    unknown = [repr(name) for name in file.tensors if name not in names and name != _ROPE_FACTORS]
    misshapen = [
        f"{name} of shape {stored.shape} for {expected[names[name]]}"
        for name, stored in file.tensors.items()
        if name in names and stored.shape != expected[names[name]]
    ]
    problems = [
        f"{kind}: {', '.join(found[:3])}{' …' if len(found) > 3 else ''}"
        for kind, found in (("missing", missing), ("unknown", unknown), ("of another shape", misshapen))
        if found
    ]
    if problems:
        raise UserError(f"{file.path} has not the weights of a Llama; {'; '.join(problems)}")
    return names


def _weights(file: GgufFile, config: LlamaConfig, names: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    data = np.memmap(file.path, np.uint8, "r")
    for name, new_name in names.items():
        weight = torch.from_numpy(_dequantised(file, name, data))
        if ".attn_q." in name:
            weight = _rows_in_halves(weight, config.num_attention_heads)
        elif ".attn_k." in name:
            weight = _rows_in_halves(weight, config.num_key_value_heads)
        yield new_name, weight.to(torch.bfloat16).contiguous()


def _num_bytes(file: GgufFile, name: str) -> int:
    stored = file.tensors[name]
    try:
        block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(stored.kind)]
    except (ValueError, KeyError) as error:
        raise UserError(f"{file.path} holds {name} in an unknown quantisation, number {stored.kind}") from error
    return int(np.prod(stored.shape)) // block * block_bytes


def _dequantised(file: GgufFile, name: str, data: np.ndarray) -> np.ndarray:
    """A tensor in float32; `data` are the file's bytes."""
    stored = file.tensors[name]
    part = data[stored.offset : stored.offset + _num_bytes(file, name)]
    kind = gguf.GGMLQuantizationType(stored.kind)
    try:
        values = gguf.dequantize(part.reshape(*stored.shape[:-1], -1), kind)
    except NotImplementedError as error:
        raise UserError(f"{file.path} holds {name} in {kind.name}, which the package gguf cannot dequantise") from error
    return np.array(values.reshape(stored.shape), np.float32)


def _rows_in_halves(weight_NK: Tensor, heads: int) -> Tensor:
    """Each head's even rows, then its odd ones: GGUF files rotate neighbours, transformers the two halves."""
    return weight_NK.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
