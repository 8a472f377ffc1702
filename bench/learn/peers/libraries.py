"""How each peer loads the base, adds its adapter, and computes the logits of packed documents."""

import inspect
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.attention import varlen

from bench.learn.peers.recipe import PeerRecipe

WINDOW: Final = 2_048
_TARGETS: Final = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_VARLEN: Final = "torch_varlen"


@dataclass(frozen=True)
class Peer:
    """A base with a fresh adapter. `packed` makes the model's arguments of packed documents."""

    model: Any
    tokenizer: Any
    packed: Callable[[Tensor, Tensor, Sequence[int]], dict[str, Any]]
    trainer_settings: dict[str, Any]  # for SFTTrainer
    config_settings: dict[str, Any]  # for SFTConfig

    def logits(self, ids_T: Tensor, positions_T: Tensor, lengths: Sequence[int]) -> Tensor:
        """Of all tokens, T x V; no document sees another."""
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            inputs = self.packed(ids_T.to(device), positions_T.to(device), lengths)
            return self.model(**inputs, use_cache=False).logits[0]


def prepare(library: str) -> None:
    """Imports Unsloth before all other libraries, since it patches them; for TRL, registers its attention."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if library == "unsloth":
        os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
        # Two processes must not write the same files.
        os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", tempfile.mkdtemp(prefix="unsloth-"))
        _offer_grouped_heads()
        import unsloth  # noqa: F401
    else:
        _register_varlen()


def load(library: str, base: str, recipe: PeerRecipe) -> Peer:
    """The peer's model on this machine's device."""
    return (_load_unsloth if library == "unsloth" else _load_trl)(base, recipe)


def _load_trl(base: str, recipe: PeerRecipe) -> Peer:
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    is_gpu = torch.cuda.is_available()
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
    model = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=torch.bfloat16 if is_gpu else torch.float32,
        device_map={"": 0 if is_gpu else "cpu"},
        attn_implementation=_VARLEN if is_gpu else "sdpa",
        quantization_config=quantization if recipe.is_4bit else None,
    )
    adapter = LoraConfig(
        r=recipe.rank, lora_alpha=2 * recipe.rank, lora_dropout=0, target_modules=_TARGETS, task_type="CAUSAL_LM"
    )
    return Peer(
        model, AutoTokenizer.from_pretrained(base),
        packed=lambda ids_T, positions_T, _lengths: {"input_ids": ids_T[None], "position_ids": positions_T[None]},
        trainer_settings={"peft_config": adapter}, config_settings={"use_liger_kernel": is_gpu},
    )  # fmt: skip


def _load_unsloth(base: str, recipe: PeerRecipe) -> Peer:
    from unsloth import FastLanguageModel

    is_gpu = torch.cuda.is_available()
    os.environ["UNSLOTH_RETURN_LOGITS"] = "0"  # an earlier run's "1" would switch packing off
    model, tokenizer = FastLanguageModel.from_pretrained(
        base,
        max_seq_length=WINDOW,
        dtype=torch.bfloat16 if is_gpu else torch.float32,
        load_in_4bit=recipe.is_4bit,
        random_state=recipe.seed,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=recipe.rank,
        target_modules=_TARGETS,
        lora_alpha=2 * recipe.rank,
        lora_dropout=0,
        bias="none",
        use_gradient_checkpointing=False,
        random_state=recipe.seed,
    )

    def packed(ids_T: Tensor, positions_T: Tensor, lengths: Sequence[int]) -> dict[str, Any]:
        return {
            "input_ids": ids_T[None],
            "position_ids": positions_T[None],
            "packed_seq_lengths": torch.tensor(lengths, dtype=torch.int32),
        }

    return Peer(model, tokenizer, packed, trainer_settings={}, config_settings={})


def _offer_grouped_heads() -> None:
    """Gives torch 2.11's varlen_attn the argument `enable_gqa` of torch 2.12.

    Unsloth 2026.10 looks for it, and attends document by document where it is missing. The kernel of 2.11 can group
    heads as well.
    """
    original = varlen.varlen_attn
    if "enable_gqa" in inspect.signature(original).parameters:
        return

    def varlen_attn(
        query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int, *,
        return_aux: Any = None, scale: float | None = None, window_size: tuple[int, int] = (-1, -1),
        enable_gqa: bool = False,  # noqa: ARG001  the kernel sees it from the shapes
    ) -> Any:  # fmt: skip
        bounds = (cu_seq_q, cu_seq_k, max_q, max_k)
        return original(query, key, value, *bounds, return_aux=return_aux, scale=scale, window_size=window_size)

    varlen.varlen_attn = varlen_attn


def _register_varlen() -> None:
    """Registers PyTorch's FlashAttention-2 with transformers, in place of the package flash-attn.

    That package has no build for this torch; the kernel is the same. Bounds of documents are computed once a forward
    pass, where transformers' own way to FlashAttention computes them in each layer.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, flash_attention_mask

    seen: dict[str, Any] = {"positions": None}

    def attend(
        _module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: Tensor | None, *,
        position_ids: Tensor, scaling: float, **_: Any,
    ) -> tuple[Tensor, None]:  # fmt: skip
        """Queries, keys and values are 1 x heads x T x D; the result is 1 x T x heads x D."""
        if seen["positions"] is not position_ids:
            starts = (position_ids[0] == 0).nonzero()[:, 0]
            bounds = torch.cat([starts, starts.new_tensor([position_ids.shape[1]])])
            seen.update(positions=position_ids, longest=int(bounds.diff().max()), bounds=bounds.to(torch.int32))
        heads = [each[0].transpose(0, 1).contiguous().to(value.dtype) for each in (query, key, value)]
        bounds, longest = seen["bounds"], seen["longest"]
        mixed = varlen.varlen_attn(*heads, bounds, bounds, longest, longest, scale=scaling, window_size=(-1, 0))
        return mixed[None], None

    AttentionInterface.register(_VARLEN, attend)
    AttentionMaskInterface.register(_VARLEN, flash_attention_mask)
