"""Forward passes of a model of transformers over the rows of a batch: all at once, or one by one where it wants it."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from command.machine import free_memory_bytes
from trainer.generation.fixed import FixedStep
from trainer.generation.forward import Forward, tokens_that_fit
from trainer.generation.slots import SlotCache

# Shapes: N rows, W columns: the tokens of the longest row, V words of the vocabulary.

CPU_SLOTS: Final = 64
GPU_SLOTS: Final = 512  # a step of a small model takes as long as the host needs to start it, whatever its rows
BASE: Final = "__base__"  # PEFT's name for the model without an adapter


def forward_of(model: PeftModel | PreTrainedModel) -> Forward:
    """How this model computes a batch.

    A model with a state that is no keys and values (Mamba, linear attention) would take padding for text, so each of
    its rows is computed by itself.
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return Apart(model) if getattr(base, "_is_stateful", False) else Together(model)


def room_of(model: PeftModel | PreTrainedModel) -> int:
    """Tokens whose keys and values may be in memory at the same time."""
    config, device = model.config.get_text_config(), model.device
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    token_bytes = 2 * config.num_hidden_layers * heads * head_size * model.dtype.itemsize
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory_bytes()
    return tokens_that_fit(token_bytes, free_bytes=free)


class Together:
    """All rows in one forward pass, with the base and several adapters side by side."""

    def __init__(self, model: PeftModel | PreTrainedModel, *, is_fixed: bool | None = None) -> None:
        """`is_fixed`: steps have sizes that do not change, as a GPU wants them; by default on GPUs."""
        self._model, self._cache = model, SlotCache()
        self._fixed = FixedStep(model, self._cache)
        self._fixed.is_off |= not (model.device.type == "cuda" if is_fixed is None else is_fixed)
        self._adapted = next((each for each in model.modules() if isinstance(each, BaseTunerLayer)), None)

    def start(self, prompts: Sequence[Sequence[int]], adapters: Sequence[str | None]) -> Tensor:
        """Shorter prompts are padded on their left; the mask hides the padding, and positions begin after it."""
        width = max(map(len, prompts))
        ids = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        lengths_N1 = torch.tensor([[len(prompt)] for prompt in prompts])
        positions_NW = torch.arange(width) - (width - lengths_N1)
        cache = DynamicCache()
        logits_NV = self._logits(
            torch.tensor(ids),
            adapters=adapters,
            attention_mask=(positions_NW >= 0).long(),
            position_ids=positions_NW.clamp(min=0),
            past_key_values=cache,
        )
        self._cache.join(cache)
        return logits_NV

    def go_on(self, tokens: Sequence[int], lengths: Sequence[int], adapters: Sequence[str | None]) -> Tensor:
        """One column for all rows: the tokens' positions differ, their place in the cache does not."""
        self._cache.reserve_column()
        self._switch(is_base=not any(adapters))
        logits_NV = self._fixed.logits(tokens, lengths, adapters)
        if logits_NV is None:
            logits_NV = self._computed(tokens, lengths, adapters)
        self._cache.advance()
        return logits_NV

    def _computed(self, tokens: Sequence[int], lengths: Sequence[int], adapters: Sequence[str | None]) -> Tensor:
        device = self._model.device
        tokens_N1, lengths_N1 = torch.tensor([tokens, lengths]).to(device)[..., None]  # one transfer to the device
        width = max(lengths) + 1
        return self._logits(
            tokens_N1,
            adapters=adapters,
            attention_mask=(torch.arange(width, device=device) >= width - 1 - lengths_N1).long(),
            position_ids=lengths_N1,
            past_key_values=self._cache,
        )

    def keep(self, moves: Sequence[tuple[int, int]], *, num_rows: int, width: int) -> None:
        """Rows that stay close up, and columns that none of them uses are given up."""
        self._cache.keep(moves, num_rows=num_rows, width=width)
        if not num_rows:
            self._switch(is_base=False)

    def _logits(self, ids_NW: Tensor, *, adapters: Sequence[str | None], **inputs: Any) -> Tensor:
        """Where all rows are the base's, its layers are computed without a look at adapters."""
        is_base = not any(adapters)
        self._switch(is_base=is_base)
        return _logits(self._model, ids_NW, adapters=() if is_base else adapters, **inputs)

    def _switch(self, *, is_base: bool) -> None:
        """Turns the adapters of all layers off, or on again; only where that changes, since it takes 10 ms."""
        if self._adapted and self._adapted.disable_adapters != is_base:
            tuner: Any = self._model.base_model
            (tuner.disable_adapter_layers if is_base else tuner.enable_adapter_layers)()


class Apart:
    """Each row in a forward pass of its own, with a cache of the model's own kind."""

    def __init__(self, model: PeftModel | PreTrainedModel) -> None:
        self._model = model
        self._caches: list[DynamicCache] = []

    def start(self, prompts: Sequence[Sequence[int]], adapters: Sequence[str | None]) -> Tensor:
        """One prompt after the other."""
        caches = [DynamicCache(config=self._model.config) for _ in prompts]
        self._caches += caches
        return self._each(prompts, [0] * len(prompts), adapters, caches)

    def go_on(self, tokens: Sequence[int], lengths: Sequence[int], adapters: Sequence[str | None]) -> Tensor:
        """One row after the other."""
        return self._each([[token] for token in tokens], lengths, adapters, self._caches)

    def keep(self, moves: Sequence[tuple[int, int]], *, num_rows: int, width: int) -> None:  # noqa: ARG002
        """Only the caches of rows that stay are kept."""
        for origin, target in moves:
            self._caches[target] = self._caches[origin]
        del self._caches[num_rows:]

    def _each(
        self,
        rows: Sequence[Sequence[int]],
        lengths: Sequence[int],
        adapters: Sequence[str | None],
        caches: Sequence[DynamicCache],
    ) -> Tensor:
        logits = []
        for ids, length, adapter, cache in zip(rows, lengths, adapters, caches, strict=True):
            positions_1W = torch.arange(length, length + len(ids))[None]
            passed: dict[str, Any] = {"position_ids": positions_1W, "past_key_values": cache}
            logits.append(_logits(self._model, torch.tensor([list(ids)]), adapters=[adapter], **passed))
        return torch.cat(logits)


def _logits(
    model: PeftModel | PreTrainedModel, ids_NW: Tensor, *, adapters: Sequence[str | None], **inputs: Any
) -> Tensor:
    """The logits (N x V) after the last column."""
    on_device = {name: value.to(model.device) if isinstance(value, Tensor) else value for name, value in inputs.items()}
    output = model(
        input_ids=ids_NW.to(model.device),
        use_cache=True,
        logits_to_keep=1,
        **on_device,
        **_mixed(model, adapters),
    )
    return output.logits[:, -1]


def _mixed(model: PeftModel | PreTrainedModel, adapters: Sequence[str | None]) -> dict[str, list[str]]:
    """PEFT's argument that gives each row its adapter; none where all rows have the one that is active, or none has."""
    if not isinstance(model, PeftModel):
        assert not any(adapters), f"adapters {set(adapters)} of a model without any"
        return {}
    if not adapters or set(adapters) == set(model.active_adapters):
        return {}
    return {"adapter_names": [adapter or BASE for adapter in adapters]}
