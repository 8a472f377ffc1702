"""A base that is dequantised once computes what the base in NF4 computes."""

from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel, get_peft_model_state_dict
from transformers import AutoTokenizer

from trainer.config import TrainConfig
from trainer.engines import dense
from trainer.engines.base import add_lora, answer_loss, load_base
from trainer.engines.dense import dequantise, is_in_nf4
from trainer.examples.encoder import Encoder, Pack, Record
from trainer.recipes.recipe import SEED
from trainer.stream.packing import pack

CPU = torch.device("cpu")
RECORDS = [Record(0, "Red Kettle", "A kettle of steel."), Record(1, "Blue Lamp", "A lamp of glass, 40 cm.")]


def _packs(base: str) -> list[Pack]:
    encoder = Encoder(AutoTokenizer.from_pretrained(base), max_length=128)
    return pack(encoder.encode(RECORDS), max_length=128)


def _lora(base: str) -> PeftModel:
    return add_lora(load_base(base, device=CPU), TrainConfig(data=("-",), run="-"), recipe=SEED).train()


def _losses(model: PeftModel, packs: list[Pack], *, steps: int) -> list[float]:
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-2)
    losses = []
    for _ in range(steps):
        loss = sum(answer_loss(model, each) for each in packs)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("base", ["micro_base", "smollm2"])
def test_training_has_the_same_losses_and_the_adapter_the_same_names(base: str, request: pytest.FixtureRequest) -> None:
    folder = str(request.getfixturevalue(base))
    packs, steps = _packs(folder), 8 if base == "micro_base" else 2
    quantised, dequantised = _lora(folder), _lora(folder)
    assert dequantise(dequantised).startswith("the base is dequantised once")

    assert is_in_nf4(quantised)
    assert not is_in_nf4(dequantised)
    losses = _losses(dequantised, packs, steps=steps)
    assert losses == pytest.approx(_losses(quantised, packs, steps=steps), rel=1e-4)
    assert losses[-1] < losses[0]
    states = [get_peft_model_state_dict(model) for model in (quantised, dequantised)]
    assert states[0].keys() == states[1].keys()


def test_a_base_that_would_not_fit_stays_in_nf4_and_that_is_said(
    micro_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_base(str(micro_base), device=CPU)
    layers = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
    num_bytes = 4 * sum(layer.in_features * layer.out_features for layer in layers)

    monkeypatch.setattr(dense, "free_memory_bytes", lambda: 2 * num_bytes - 1)
    assert "stays in nf4" in dequantise(model)
    assert is_in_nf4(model)
    monkeypatch.setattr(dense, "free_memory_bytes", lambda: 2 * num_bytes)
    assert "dequantised once" in dequantise(model)
    assert not is_in_nf4(model)
