"""A step of all rows with sizes that do not change, so that a GPU can repeat it as one CUDA graph.

A step of a small base takes a GPU a few milliseconds, but its host 80 ms to start the kernels one by one, for one row
or for 300. A graph starts them all at once.

Shapes: R rows and C columns of the cache's buffers, N rows in use, V words of the vocabulary.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from trainer.generation.slots import SlotCache

_CLOSE: Final = 0.02  # of the largest logit: how far those of a graph may be from those of the step that it repeats

Step = Callable[[], Tensor]


def is_fixable(model: PeftModel | PreTrainedModel) -> bool:
    """Whether a mask of ours is all that attention needs: not where layers see a window, or take other masks."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    config = base.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    has_window = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    return config._attn_implementation == "sdpa" and kinds == {"full_attention"} and not has_window


class FixedStep:
    """Repeats a step over the buffers of a cache, on GPUs as a CUDA graph; made anew where the buffers are."""

    def __init__(self, model: PeftModel | PreTrainedModel, cache: SlotCache) -> None:
        self._model, self._cache = model, cache
        self._inputs = torch.empty(0, dtype=torch.int64)
        self._steps: dict[bool, Step] = {}
        self._made_for: tuple[Any, ...] = ()
        self.is_off = not is_fixable(model)

    def fits(self, adapters: Sequence[str | None]) -> bool:
        """Whether all rows are the base's, or all have the only adapter that is loaded."""
        if self.is_off:
            return False
        loaded, wanted = self._loaded(), set(adapters)
        return wanted == {None} or (len(loaded) == 1 and wanted == set(loaded) == set(self._model.active_adapters))

    def logits(self, tokens: Sequence[int], lengths: Sequence[int], adapters: Sequence[str | None]) -> Tensor | None:
        """The logits (N x V) after one more token of each row; None where these rows need another way.

        To be called before each step, so that no change of buffers or adapters goes unseen. A column of the cache must
        have been reserved. What is returned is overwritten by the next step.
        """
        now = (self._cache.version, *self._loaded())
        if now != self._made_for:
            self._steps, self._made_for = {}, now
        if not self.fits(adapters):
            return None
        num, rows, is_base = len(tokens), self._cache.num_rows, not any(adapters)
        values = [*tokens, *[0] * (rows - num), *lengths, *[0] * (rows - num), self._cache.column]
        on_host = torch.tensor(values)
        if is_base not in self._steps:
            self._inputs = on_host.to(self._model.device)
            self._steps = {is_base: self._step(num)}  # the other one reads other inputs
        else:
            self._inputs.copy_(on_host)
        return None if self.is_off else self._steps[is_base]()[:num]

    def _loaded(self) -> list[str]:
        return list(self._model.peft_config) if isinstance(self._model, PeftModel) else []

    def _step(self, num: int) -> Step:
        if self._model.device.type != "cuda":
            return self._compute
        try:
            return self._captured(num)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            print(f"note: answers take longer here, as their steps cannot be one CUDA graph: {reason}", file=sys.stderr)
            self.is_off = True
            return self._compute

    def _captured(self, num: int) -> Step:
        """The graph; RuntimeError where it computes something else than the step that was captured."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            expected_NV = self._compute()[:num].clone()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            logits_RV = self._compute()

        def replay() -> Tensor:
            graph.replay()
            return logits_RV

        largest = expected_NV.abs().max()
        if not ((replay()[:num] - expected_NV).abs().max() <= _CLOSE * largest):
            raise RuntimeError("it does not repeat what was captured")
        return replay

    def _compute(self) -> Tensor:
        """The logits (R x V) for the inputs in place. Rows that are not in use see themselves only."""
        rows, columns = self._cache.num_rows, self._cache.num_columns
        tokens_R1, lengths_R1 = self._inputs[: 2 * rows].view(2, rows, 1)
        column_1 = self._inputs[2 * rows :]
        places_C = torch.arange(columns, device=self._inputs.device)
        seen_RC = (places_C <= column_1) & (places_C >= column_1 - lengths_R1)
        output = self._model(
            input_ids=tokens_R1,
            attention_mask=seen_RC[:, None, None],
            position_ids=lengths_R1,
            past_key_values=self._cache.written_at(column_1),
            use_cache=True,
            logits_to_keep=1,
        )
        logits_RV: Tensor = output.logits[:, -1]
        return logits_RV
