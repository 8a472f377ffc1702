"""Titles that are asked about together get the answers that each gets alone."""

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

TITLES = (
    "Lamp",
    "Enamel Coffee Pot With a Long Wooden Handle, 1.5 Litres, Dark Green",
    "What Is Life",
    "Cesto de palha com tampa",
)


@pytest.fixture(name="answerer", scope="module")
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


def test_answers_of_a_batch_are_those_that_each_title_gets_alone(answerer: Answerer) -> None:
    together = answerer.answers(TITLES, max_new_tokens=16)
    assert together == [answerer.answer(title, max_new_tokens=16) for title in TITLES]
    assert len(set(together)) == len(TITLES)

    before = answerer.answers(TITLES, max_new_tokens=16, is_before=True)
    with answerer.model.disable_adapter():
        assert before == answerer.answers(TITLES, max_new_tokens=16)
    assert before != together


def test_an_answer_ends_at_its_end_token_whatever_the_others_do(
    answerer: Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end token is replaced by one that stands early in the first answer."""
    whole = answerer.answers(TITLES[:2], max_new_tokens=12)
    ids = [answerer.tokenizer(text, add_special_tokens=False)["input_ids"] for text in whole]
    end = next(number for number in ids[0][1:] if number not in ids[1])
    monkeypatch.setattr(type(answerer.tokenizer), "eos_token_id", end, raising=False)
    cut = answerer.answers(TITLES[:2], max_new_tokens=12)

    assert whole[0].startswith(cut[0].replace(answerer.tokenizer.decode([end]), ""))
    assert len(cut[0]) < len(whole[0])
    assert cut[1] == whole[1]
