"""The forward pass without transformers and PEFT is theirs."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.trainer.generation.batches import alone, batch_of, mixed_requests, with_adapters
from trainer.generation.alone import Alone, Lora, Shape
from trainer.generation.batch import Batch
from trainer.generation.generate import generate

_BEFORE = "base_model.model.model."


def forward_of(model) -> Alone:
    """The same weights as in a model of transformers with adapters of PEFT."""
    config, weights = model.config, {}
    adapters = {name: Lora({}, {}, lora.lora_alpha / lora.r) for name, lora in model.peft_config.items()}
    for name, weight in model.state_dict().items():
        name = name.removeprefix(_BEFORE).removeprefix("base_model.model.").removesuffix(".weight")
        layer, kind, adapter = (*name.rsplit(".", 2), "", "")[:3]
        if kind in ("lora_A", "lora_B"):
            (adapters[adapter].down_RK if kind == "lora_A" else adapters[adapter].up_NR)[layer] = weight
        else:
            weights[f"{name.removesuffix('.base_layer')}.weight"] = weight
    rope = config.rope_parameters
    return Alone(
        Shape(config.num_hidden_layers, config.head_dim, config.rms_norm_eps, rope["rope_theta"]), weights, adapters
    )


@pytest.mark.parametrize("num_slots", [1, 3])
def test_answers_are_those_of_transformers_and_peft(micro_base: Path, num_slots: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    micro = with_adapters(str(micro_base), std=0.3), tokenizer
    requests = mixed_requests(tokenizer, 12)
    expected = [alone(micro, request) for request in requests]
    batch = Batch(
        forward_of(micro[0]),
        tokenizer.backend_tokenizer,
        ends=[tokenizer.eos_token_id],
        num_slots=num_slots,
        max_tokens=batch_of(micro).max_tokens,
    )

    assert generate(batch, requests) == expected
    assert len({each.token_ids for each in expected}) > 6
