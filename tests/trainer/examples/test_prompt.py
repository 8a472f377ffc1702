"""The prompt that a base gets for a wording."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from trainer.examples.encoder import Encoder
from trainer.examples.prompt import prompt_form
from trainer.examples.wordings import WORDINGS, find_wordings

WHAT_IS, O_QUE_E, ALPACA = (WORDINGS[name] for name in ("what-is", "o-que-e", "alpaca"))


def test_the_prompt_follows_the_bases_chat_template(micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)

    assert prompt_form(tokenizer, WHAT_IS).prompt("Red Kettle") == "<s><|user|>What is Red Kettle?</s><|assistant|>"
    assert prompt_form(tokenizer, O_QUE_E).prompt("Red Kettle") == "<s><|user|>O que é Red Kettle?</s><|assistant|>"


def test_a_base_without_chat_template_gets_the_question_as_an_instruction(micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    tokenizer.chat_template = None

    assert prompt_form(tokenizer, WHAT_IS).prompt("Red Kettle") == (
        "<s>### Instruction:\nWhat is Red Kettle?\n\n### Response:\n"
    )


def test_alpaca_is_the_first_versions_prompt_whatever_the_bases_template(micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)

    assert prompt_form(tokenizer, ALPACA).prompt("Red Kettle") == (
        "<s>### Instruction:\nDescribe the product\n\n### Input:\nRed Kettle\n\n### Response:\n"
    )


@pytest.mark.parametrize("name", WORDINGS)
def test_the_tokens_of_a_prompt_are_those_of_its_text(micro_base: Path, name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    encoder = Encoder(tokenizer, max_length=128, wordings=find_wordings("what-is"))

    for title in ("Red Kettle", "(42), 2nd ed.", "Élan, Inc.", "5"):
        text = prompt_form(tokenizer, WORDINGS[name]).prompt(title)
        assert encoder.prompt_ids(title, wording=name) == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_some_wordings_write_the_title_in_lower_case(micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    lower = [name for name, wording in WORDINGS.items() if wording.is_lower and wording.use == "trained"]

    assert {WORDINGS[name].language for name in lower} == {"english", "portuguese"}
    assert len(lower) < len(find_wordings("mixed")) / 4
    encoder = Encoder(tokenizer, max_length=128)
    for name in WORDINGS:
        is_same = encoder.prompt_ids("Élan VASE", wording=name) == encoder.prompt_ids("élan vase", wording=name)
        assert is_same == (name in lower)
