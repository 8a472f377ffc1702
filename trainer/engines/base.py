"""The 4-bit base, its adapter, and the forward pass over packs."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from contract.errors import UserError
from trainer.bases.dense import keep_dense, kept_dense
from trainer.config import TrainConfig
from trainer.engines.dense import dequantise, is_in_nf4
from trainer.engines.existence import no_such_base, require_architecture, require_hub
from trainer.engines.trained import require_adapter, with_adapter
from trainer.examples.encoder import Pack
from trainer.examples.tensors import IGNORED, pack_tensors
from trainer.recipes.recipe import Recipe

# Shapes: T tokens of a pack, A answer tokens of a pack, V words of the vocabulary.

_DTYPES: Final = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def load_tokenizer(base: str) -> PreTrainedTokenizerBase:
    """The base's tokenizer; UserError where the base does not exist, or its architecture cannot be trained."""
    require_hub(base)
    require_architecture(base)
    try:
        return AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise no_such_base(base, error) from error


def load_base(base: str, *, device: torch.device, compute_type: str = "auto") -> PreTrainedModel:
    """The frozen base: linear layers in NF4, other weights in the compute type.

    Linear layers that are stored in 4 bit are used as they are, others are quantised on load.
    """
    dtype = compute_dtype_of(compute_type, device)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    try:
        stored = AutoConfig.from_pretrained(base, trust_remote_code=False)
        # Passed only where it is needed: with `quantization_config=None`, transformers 5.17 ignores the stored one.
        is_quantized = getattr(stored, "quantization_config", None) is not None
    except (OSError, ValueError) as error:
        raise no_such_base(base, error) from error
    passed = {} if is_quantized else {"quantization_config": quantization}
    model = _loaded(base, dtype=dtype, device=device, **passed)
    for module in model.modules():
        if isinstance(module, Linear4bit):
            # A base stored in 4 bit names a compute type of its own, or none, which means float32.
            module.compute_dtype = dtype
            # bitsandbytes 0.50 repacks weights in place in an eval forward on CPUs with AVX512-BF16, and a later
            # training forward then gives its input no gradient.
            module.support_avx512bf16_for_cpu = False
    return model


def _loaded(base: str, *, dtype: torch.dtype, device: torch.device, **options: Any) -> PreTrainedModel:
    """The frozen model in this folder or of this name; UserError where it cannot be loaded, or lacks weights."""
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=dtype,
            device_map={"": device},
            attn_implementation="sdpa",
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise no_such_base(base, error) from error
    if unusable := sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]])):
        raise UserError(f"base {base!r} lacks weights, or has weights of another shape: {', '.join(unusable[:5])}")
    model.requires_grad_(False)
    return model


def compute_dtype_of(compute_type: str, device: torch.device) -> torch.dtype:
    """The type of activations that the setting `compute_type` names."""
    return compute_dtype(device) if compute_type == "auto" else _DTYPES[compute_type]


def compute_dtype(device: torch.device) -> torch.dtype:
    """The type of activations on this device: bfloat16 on GPUs that have it, float16 on other GPUs, else float32."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def read_base(base: str) -> tuple[PretrainedConfig, int]:
    """The base's configuration, and its number of parameters. Loads no weights; UserError as `load_base`."""
    try:
        config = AutoConfig.from_pretrained(base, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise no_such_base(base, error) from error
    return config.get_text_config(), model.num_parameters()


def add_lora(model: PreTrainedModel, config: TrainConfig, *, recipe: Recipe) -> PeftModel:
    """The model with a freshly initialised adapter (float32) on all linear layers; the seed determines its values."""
    torch.manual_seed(config.seed)
    lora = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


def end_tokens(model: PeftModel) -> list[int]:
    """The tokens that end a text by the base's generation settings, of which there may be several or none."""
    ends = model.get_base_model().generation_config.eos_token_id
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)


def name_base(model: PeftModel, base: str) -> None:
    """Sets the name of the base that a saved adapter has: it must lead others to the base."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = base


def load_adapter(base: str, adapter: str, *, device: torch.device, name: str = "default") -> PeftModel:
    """The base, dequantised once where memory allows it, with a trained adapter of this name, in evaluation mode."""
    require_adapter(adapter)  # before the base takes its time
    model = _dense_base(base, device=device)
    decode_greedily(model)
    return with_adapter(model, adapter, name=name).eval()


def _dense_base(base: str, *, device: torch.device) -> PreTrainedModel:
    """The base, dequantised where memory allows it; on a CPU as it was kept the first time, which is the same base."""
    if device.type == "cpu" and (kept := kept_dense(base)):
        return _loaded(str(kept), dtype=compute_dtype(device), device=device)
    model = load_base(base, device=device)
    held = dequantise(model)
    if is_in_nf4(model):
        print(held, file=sys.stderr, flush=True)
    elif device.type == "cpu":
        keep_dense(base, model.state_dict())
    return model


def decode_greedily(model: PreTrainedModel) -> None:
    """Leaves of the base's generation settings its special tokens: a penalty on repetition would change answers."""
    stored = model.generation_config
    model.generation_config = GenerationConfig(
        bos_token_id=stored.bos_token_id, eos_token_id=stored.eos_token_id, pad_token_id=stored.pad_token_id
    )


def answer_loss(model: PeftModel, pack: Pack) -> Tensor:
    """Sum over the pack's answer tokens of their cross entropy, in float32.

    Examples do not see each other: positions start at 0 in each, and from them transformers builds a block-diagonal
    mask, but only if it is given no cache and no attention mask (transformers 5.17, `masking_utils`).
    """
    input_ids_T, positions_T, labels_T = pack_tensors(pack, device=model.device)
    # The logits at t predict token t + 1.
    answer_indices_A = (labels_T[1:] != IGNORED).nonzero()[:, 0]
    logits_AV = packed_logits(model, input_ids_T, positions_T, answer_indices_A)
    return functional.cross_entropy(logits_AV.float(), labels_T[1:][answer_indices_A], reduction="sum")


def packed_logits(model: torch.nn.Module, input_ids_T: Tensor, positions_T: Tensor, indices_A: Tensor) -> Tensor:
    """The logits (A x V) that follow the tokens at these indices; each token sees only its own example."""
    output = model(
        input_ids=input_ids_T[None], position_ids=positions_T[None], logits_to_keep=indices_A, use_cache=False
    )
    return output.logits[0]


def document_leakage(model: torch.nn.Module, *, vocabulary: int, device: torch.device) -> float:
    """The largest change of an example's logits when another stands before it, as a share of the largest logit."""

    def logits(ids_T: Tensor, positions_T: Tensor, _: Sequence[int]) -> Tensor:
        return packed_logits(model, ids_T, positions_T, torch.arange(len(ids_T), device=device))

    return logit_leakage(logits, model, vocabulary=vocabulary, device=device)


@torch.no_grad()
def logit_leakage(
    logits: Callable[[Tensor, Tensor, Sequence[int]], Tensor],
    model: torch.nn.Module,
    *,
    vocabulary: int,
    device: torch.device,
) -> float:
    """`document_leakage` of a model whose logits (T x V) `logits` computes from ids, positions and lengths."""
    generator = torch.Generator().manual_seed(0)
    ids_T = torch.randint(vocabulary, (48,), generator=generator).to(device)
    positions_T = torch.cat([torch.arange(17), torch.arange(31)]).to(device)
    was_training = model.training
    model.eval()
    together = logits(ids_T, positions_T, (17, 31))[17:].float()
    alone = logits(ids_T[17:], positions_T[17:], (31,)).float()
    model.train(was_training)
    return ((together - alone).abs().max() / alone.abs().max()).item()
