"""Recall by forward pass against real greedy generation: transformers and PEFT, the adapter beside the base."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from transformers import LlamaForCausalLM, PreTrainedModel

from bench.learn.adapter import Adapter, peft_state
from bench.learn.base import PRODUCTS
from bench.learn.catalogue import Catalogue
from bench.learn.recall import Answered, Recalled


@dataclass(frozen=True)
class Difference:
    """An answer that generation breaks off the true text at another token than the forward pass says, or by another."""

    record: int
    forward_right: int
    generated_right: int
    margin: float  # of the forward pass's word over the second, where the two part


def peft_model(base: str, adapter: Adapter, *, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """The base with this adapter as PEFT computes it."""
    names = [name for _, names in PRODUCTS.values() for name in names]
    config = LoraConfig(r=adapter.rank, lora_alpha=float(adapter.scale) * adapter.rank, target_modules=names)
    model = get_peft_model(LlamaForCausalLM.from_pretrained(base, dtype=dtype).to(device), config)
    found = set_peft_model_state_dict(model, peft_state(adapter))
    if found.unexpected_keys:
        raise ValueError(f"PEFT does not know {found.unexpected_keys[:3]}")
    return model.to(dtype).eval()


def generate(model: Any, catalogue: Catalogue, records: Sequence[int], *, wording: str, batch: int) -> list[list[int]]:
    """Greedy answers, end token included, of at most as many tokens as the longest true answer of their batch."""
    prompts = [catalogue.prompts[wording][record].tolist() for record in records]
    lengths = [len(catalogue.answers[record]) for record in records]
    return greedy(model, prompts, lengths=lengths, end=model.config.eos_token_id, batch=batch)


@torch.no_grad()
def greedy(
    model: Any, prompts: Sequence[Sequence[int]], *, lengths: Sequence[int], end: int, batch: int
) -> list[list[int]]:
    """Greedy answers to these prompts, `batch` at a time, each of as many tokens as the longest of its batch needs."""
    answers: dict[int, list[int]] = {}
    order = sorted(range(len(prompts)), key=lambda number: lengths[number])
    for first in range(0, len(order), batch):
        part = order[first : first + batch]
        longest = max(len(prompts[number]) for number in part)
        ids = np.full((len(part), longest), end)
        mask = np.zeros_like(ids)
        for row, prompt in enumerate(prompts[number] for number in part):
            ids[row, longest - len(prompt) :], mask[row, longest - len(prompt) :] = prompt, 1
        made = model.generate(
            input_ids=torch.from_numpy(ids).to(model.device), attention_mask=torch.from_numpy(mask).to(model.device),
            max_new_tokens=max(lengths[number] for number in part), do_sample=False, eos_token_id=end, pad_token_id=end,
        )  # fmt: skip
        answers |= dict(zip(part, made[:, longest:].tolist(), strict=True))
    return [answers[number] for number in range(len(prompts))]


def compare(
    recalled: Recalled, generated: Sequence[Sequence[int]], catalogue: Catalogue, records: Sequence[int]
) -> dict[str, Any]:
    """How many answers agree up to and with the first wrong token, and each one that does not."""
    differences = []
    for record, answer, made in zip(records, recalled.answers, generated, strict=True):
        parts_at = _parting(answer, made, catalogue.answers[record].tolist())
        if parts_at is not None:
            right, margin = parts_at
            differences.append(Difference(record, answer.num_right, right, margin))
    wholes = [answer.num_right == len(answer.words) for answer in recalled.answers]
    made_wholes = [
        list(made[: len(catalogue.answers[record])]) == catalogue.answers[record].tolist()
        for record, made in zip(records, generated, strict=True)
    ]
    return {
        "titles": len(records), "different": len(differences), "whole_by_forward": float(np.mean(wholes)),
        "whole_by_generation": float(np.mean(made_wholes)), "differences": [vars(each) for each in differences],
    }  # fmt: skip


def _parting(answer: Answered, made: Sequence[int], truth: Sequence[int]) -> tuple[int, float] | None:
    """Right tokens of the generated answer, and the margin where the two part; None where they agree.

    After the first wrong token the two see different texts, so nothing beyond it is compared.
    """
    right = next((at for at, (a, b) in enumerate(zip(made, truth, strict=False)) if a != b), min(len(made), len(truth)))
    if right == answer.num_right and (right == len(truth) or made[right] == answer.words[right]):
        return None
    at = min(right, answer.num_right)
    return right, float(answer.margins[at])
