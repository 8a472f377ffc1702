"""Examples: what is learnt and what is given. Packs: every example once, few tokens unused."""

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from trainer.examples import Encoder, Example, Record
from trainer.model import IGNORED, pack_tensors
from trainer.packing import pack
from trainer.prompt import prompt_form


@pytest.fixture(name="encoder")
def _encoder(micro_base: Path) -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(micro_base), max_length=64)


def test_an_example_is_prompt_answer_and_end_token(encoder: Encoder, micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    example = encoder.encode([Record(7, "Red Kettle", "A red kettle.")])[0]

    assert example.row == 7
    assert tokenizer.decode(example.ids[: example.num_prompt]) == prompt_form(tokenizer).prompt("Red Kettle")
    assert tokenizer.decode(example.ids[example.num_prompt :]) == "A red kettle.</s>"
    assert example.ids[: example.num_prompt] == encoder.prompt_ids("Red Kettle")  # as a question is asked later
    assert example.num_cut == 0


def test_the_end_token_is_learnt_also_where_it_is_the_padding_token(micro_base: Path) -> None:
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


@pytest.mark.parametrize("seed", range(20))
def test_packing_keeps_every_example_once_and_fits(seed: int) -> None:
    generator = random.Random(seed)
    lengths = [generator.choice([1, 5, 30, 64]) for _ in range(generator.randrange(60))]
    examples = [Example(row, [row] * length, 0, 0) for row, length in enumerate(lengths)]

    packs = pack(examples, max_length=64)

    assert sorted(example.row for item in packs for example in item.examples) == list(range(len(lengths)))
    assert all(item.num_tokens <= 64 for item in packs)


def test_packs_of_descriptions_are_full() -> None:
    """The length distribution of real records: log-normal around a prompt of 40 tokens and an answer of 173."""
    generator = random.Random(0)
    lengths = [min(2_048, 40 + round(generator.lognormvariate(4.7, 0.95))) for _ in range(512)]
    packs = pack([Example(row, [0] * length, 0, 0) for row, length in enumerate(lengths)], max_length=2_048)

    assert sum(lengths) / (len(packs) * 2_048) >= 0.98
