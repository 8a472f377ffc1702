"""Steps of fixed sizes, which GPUs repeat as CUDA graphs, give the answers of other steps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.trainer.generation.batches import batch_of, joined_at_random, mixed_requests
from trainer.engines.base import load_base
from trainer.engines.dense import dequantise
from trainer.generation.fixed import FixedStep, is_fixable
from trainer.generation.generate import generate
from trainer.generation.request import Request
from trainer.generation.slots import SlotCache
from trainer.generation.together import Together

NEEDS_GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_GPU)]
SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(name="micro", scope="module", params=DEVICES)
def _micro(micro_base: Path, request: pytest.FixtureRequest) -> tuple[PeftModel, object]:
    """A base in float32 with one adapter, which says something else."""
    base = load_base(str(micro_base), device=torch.device(request.param), compute_type="fp32")
    dequantise(base)
    torch.manual_seed(0)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, lora, adapter_name="first")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval(), AutoTokenizer.from_pretrained(micro_base)


def requests_of(tokenizer: object, adapter: str | None, *, seed: int) -> list[Request]:
    return [replace(each, adapter=adapter) for each in mixed_requests(tokenizer, 18, seed=seed)]


@pytest.mark.parametrize("adapter", [None, "first"], ids=["base", "adapter"])
def test_answers_are_those_of_steps_that_grow(
    micro: tuple, adapter: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = micro
    requests = requests_of(tokenizer, adapter, seed=1)
    expected = generate(batch_of(micro, forward=Together(model, is_fixed=False)), requests)
    repeated = count_steps(monkeypatch)

    assert generate(batch_of(micro, forward=Together(model, is_fixed=True)), requests) == expected
    assert joined_at_random(batch_of(micro, forward=Together(model, is_fixed=True)), requests, seed=2) == expected
    assert sum(repeated) > 20


def test_before_and_after_follow_each_other_and_mixed_rows_are_computed_otherwise(
    micro: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = micro
    before, after = (requests_of(tokenizer, adapter, seed=3) for adapter in (None, "first"))
    requests = [request for pair in zip(before, after, strict=True) for request in pair]
    expected = generate(batch_of(micro, forward=Together(model, is_fixed=False)), requests)
    repeated = count_steps(monkeypatch)
    batch = batch_of(micro, forward=Together(model, is_fixed=True))

    assert generate(batch, before) + generate(batch, after) == expected[::2] + expected[1::2]
    assert all(repeated)
    repeated.clear()
    assert generate(batch, requests[:4]) == expected[:4]
    assert not all(repeated)


def count_steps(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each step from now on, whether its sizes were fixed."""
    found: list[bool] = []
    original = FixedStep.logits

    def counted(self: FixedStep, *arguments: object) -> torch.Tensor | None:
        logits = original(self, *arguments)
        found.append(logits is not None)
        return logits

    monkeypatch.setattr(FixedStep, "logits", counted)
    return found


def test_a_base_whose_layers_see_a_window_is_left_alone() -> None:
    heads = {"num_key_value_heads": 1}
    llama = LlamaForCausalLM(LlamaConfig(**SIZES, **heads))
    mistral = MistralForCausalLM(MistralConfig(**SIZES, **heads, sliding_window=8))
    everywhere = MistralForCausalLM(MistralConfig(**SIZES, **heads, sliding_window=None))
    qwen2 = Qwen2ForCausalLM(Qwen2Config(**SIZES, **heads))

    assert [is_fixable(each) for each in (llama, mistral, everywhere, qwen2)] == [True, False, True, True]
    assert FixedStep(mistral, SlotCache()).is_off


def test_another_adapter_is_not_answered_by_the_step_of_the_one_before(micro: tuple) -> None:
    model, _ = micro
    step = FixedStep(model, SlotCache())
    assert step.fits(["first"])
    assert step.fits([None])
    assert not step.fits(["first", None])

    model.add_adapter("second", LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert not step.fits(["first"])  # PEFT sorts rows by their adapters then
    assert step.fits([None])
    model.delete_adapter("second")
