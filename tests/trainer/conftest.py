"""What tests of answers and of their evaluation share."""

import pytest
import torch
from transformers import AutoTokenizer

from contract.text.profiles import find_profile
from trainer.answers.answerer import Answerer
from trainer.config import TrainConfig
from trainer.engines.base import add_lora, load_base
from trainer.engines.dense import dequantise
from trainer.examples.encoder import Encoder
from trainer.recipes.recipe import SEED


@pytest.fixture(name="answerer", scope="session")
def _answerer(smollm2: str) -> Answerer:
    """The real base in float32, with an adapter that changes what it says."""
    tokenizer, model = AutoTokenizer.from_pretrained(smollm2), load_base(smollm2, device=torch.device("cpu"))
    dequantise(model)
    adapted = add_lora(model, TrainConfig(data=("-",), run="-"), recipe=SEED).eval()
    torch.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=3e-3)
    return Answerer(adapted, tokenizer, Encoder(tokenizer, max_length=256), find_profile("natural"))
