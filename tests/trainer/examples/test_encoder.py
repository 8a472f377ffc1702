"""Examples: which tokens are the prompt, and which are trained."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from trainer.examples.encoder import Encoder, Record
from trainer.examples.prompt import prompt_form
from trainer.examples.tensors import IGNORED, pack_tensors
from trainer.stream.packing import pack


@pytest.fixture(name="encoder")
def _encoder(micro_base: Path) -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(micro_base), max_length=64)


def test_an_example_is_prompt_answer_and_end_token(encoder: Encoder, micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    example = encoder.encode([Record(7, "Red Kettle", "A red kettle.")])[0]

    assert example.row == 7
    assert tokenizer.decode(example.ids[: example.num_prompt]) == prompt_form(tokenizer).prompt("Red Kettle")
    assert tokenizer.decode(example.ids[example.num_prompt :]) == "A red kettle.</s>"
    assert list(example.ids[: example.num_prompt]) == encoder.prompt_ids("Red Kettle")  # as a question is asked later
    assert example.num_cut == 0


def test_the_end_token_is_trained_also_where_it_is_the_padding_token(micro_base: Path) -> None:
    """A pad token that equals the end token, masked by its id, teaches a model never to stop."""
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    tokenizer.pad_token = tokenizer.eos_token
    example = Encoder(tokenizer, max_length=64).encode([Record(0, "Red Kettle", "A red kettle.")])[0]

    _, _, labels = pack_tensors(pack([example], max_length=64)[0], device=torch.device("cpu"))
    assert labels[-1] == tokenizer.eos_token_id
    assert (labels != IGNORED).sum() == len(example.ids) - example.num_prompt


def test_what_does_not_fit_is_cut_and_counted(encoder: Encoder) -> None:
    long_answer, long_title = encoder.encode([Record(0, "Kettle", "steel " * 100), Record(1, "Kettle " * 100, "steel")])

    assert len(long_answer.ids) == len(long_title.ids) == 64
    assert long_answer.num_cut > 0
    assert long_title.num_prompt == 64  # nothing of the answer is left to learn
