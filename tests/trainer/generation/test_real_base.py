"""The real base in float32: answers of a mixed batch are those of each question alone, token for token."""

import pytest
import torch
from transformers import AutoTokenizer

from tests.trainer.generation.batches import ADAPTERS, alone, batch_of, joined_at_random, with_adapters
from trainer.examples.encoder import Encoder
from trainer.generation.generate import generate
from trainer.generation.request import Request

TITLES = (
    "Lamp",
    "Enamel Coffee Pot With a Long Wooden Handle, 1.5 Litres, Dark Green",
    "What Is Life",
    "Cesto de palha com tampa",
    "Fennimore Fountain Pen",
    "USB-C Cable 2 m",
)


@pytest.mark.slow
def test_greedy_answers_of_a_batch_are_those_of_each_question_alone_token_for_token(smollm2: str) -> None:
    """Base and two adapters, in slots that come free at different times."""
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    real = with_adapters(smollm2, std=0.1), tokenizer
    encoder = Encoder(tokenizer, max_length=256)
    requests = [
        Request(
            prompt_ids=tuple(encoder.prompt_ids(title)),
            adapter=ADAPTERS[(number + shift) % 3],
            max_new_tokens=4 + 3 * number,
        )
        for shift in range(2)
        for number, title in enumerate(TITLES)
    ]
    expected = [alone(real, request) for request in requests]

    assert generate(batch_of(real, num_slots=8), requests) == expected
    assert joined_at_random(batch_of(real, num_slots=5), requests, seed=0) == expected
    assert len({each.token_ids for each in expected}) > len(TITLES)  # adapters say something else
    for request, answer in list(zip(requests, expected, strict=True))[:4]:
        prompt = torch.tensor([request.prompt_ids])
        options = {"max_new_tokens": request.max_new_tokens, "do_sample": False}
        ids = real[0].generate(input_ids=prompt, adapter_names=[request.adapter or "__base__"], **options)
        assert tuple(ids[0, prompt.shape[1] :].tolist())[: len(answer.token_ids)] == answer.token_ids
