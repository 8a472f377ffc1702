"""Examples: which tokens are the prompt, and which are trained."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from contract.keys import record_key
from trainer.examples.encoder import Encoder, Record
from trainer.examples.prompt import prompt_form
from trainer.examples.tensors import IGNORED, pack_tensors
from trainer.examples.wordings import draw, find_wordings
from trainer.stream.packing import pack

WHAT_IS = find_wordings("what-is")


@pytest.fixture(name="encoder")
def _encoder(micro_base: Path) -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(micro_base), max_length=64, wordings=WHAT_IS)


def test_an_example_is_prompt_answer_and_end_token(encoder: Encoder, micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    example = encoder.encode([Record(7, "Red Kettle", "A red kettle.")])[0]

    assert example.row == 7
    assert tokenizer.decode(example.ids[: example.num_prompt]) == prompt_form(tokenizer, *WHAT_IS).prompt("Red Kettle")
    assert tokenizer.decode(example.ids[example.num_prompt :]) == "A red kettle.</s>"
    assert list(example.ids[: example.num_prompt]) == encoder.prompt_ids("Red Kettle")  # as a question is asked later
    assert example.num_cut == 0


def test_the_end_token_is_trained_also_where_it_is_the_padding_token(micro_base: Path) -> None:
    """A pad token that equals the end token, masked by its id, teaches a model never to stop."""
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    tokenizer.pad_token = tokenizer.eos_token
    example = Encoder(tokenizer, max_length=64, wordings=WHAT_IS).encode([Record(0, "Red Kettle", "A red kettle.")])[0]

    _, _, labels = pack_tensors(pack([example], max_length=64)[0], device=torch.device("cpu"))
    assert labels[-1] == tokenizer.eos_token_id
    assert (labels != IGNORED).sum() == len(example.ids) - example.num_prompt


def test_what_does_not_fit_is_cut_and_counted(encoder: Encoder) -> None:
    long_answer, long_title = encoder.encode([Record(0, "Kettle", "steel " * 100), Record(1, "Kettle " * 100, "steel")])

    assert len(long_answer.ids) == len(long_title.ids) == 64
    assert long_answer.num_cut > 0
    assert long_title.num_prompt == 64  # nothing of the answer is left to learn


def test_a_record_is_trained_in_the_wording_that_is_drawn_for_it(micro_base: Path) -> None:
    """In eight epochs or more each in all of them; a batch gives what single records give."""
    encoder = Encoder(AutoTokenizer.from_pretrained(micro_base), max_length=128)
    names = [wording.name for wording in encoder.wordings]
    records = [Record(row, f"Kettle {row}", "steel", record_key(str(row), "steel")) for row in range(9)]

    for epoch in range(len(names)):
        numbers = draw([record.key for record in records], epoch=epoch, num=len(names))
        wanted = [encoder.encode_as([record], names[at])[0] for record, at in zip(records, numbers, strict=True)]
        assert encoder.encode(records, epoch=epoch) == wanted
        assert wanted[0].ids[: wanted[0].num_prompt].tolist() == encoder.prompt_ids(
            "Kettle 0", wording=names[numbers[0]]
        )
    assert encoder.encode(records, epoch=0) != encoder.encode(records, epoch=1)


def test_the_wording_for_a_language_is_the_first_that_was_trained(micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)

    def asked(trained: str, language) -> str:
        return Encoder(tokenizer, max_length=128, wordings=find_wordings(trained)).wording_for(language)

    assert [asked("mixed", each) for each in ("english", "portuguese", None)] == ["what-is", "o-que-e", "what-is"]
    assert [asked("portuguese", each) for each in ("english", "portuguese", None)] == ["o-que-e"] * 3
    assert [asked("alpaca", each) for each in ("english", "portuguese", None)] == ["alpaca"] * 3
