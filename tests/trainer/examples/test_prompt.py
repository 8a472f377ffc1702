"""One wording for training and for questions."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from contract.errors import UserError
from contract.text.profiles import NATURAL, SEED
from trainer.examples.encoder import Encoder
from trainer.examples.prompt import WORDINGS, Wording, prompt_form, title_in


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is Mog&#x2019;s Kittens?", "Mogs Kittens"),
        ("what's  Nice for Mice ?", "Nice for Mice"),
        ("Tell me about Nice for Mice", "Nice for Mice"),
        ("O que é Nice for Mice?", "Nice for Mice"),
        ("Nice for Mice", "Nice for Mice"),
        ("10&quot; <b>Vase</b>", "10 Vase"),
        ("What is What is Life??", "What is Life"),
        ("Whatever Works", "Whatever Works"),
        ("What is", "What is"),
        ("???", ""),
    ],
)
def test_the_title_is_found_in_a_question_and_cleaned_as_in_training(question: str, title: str) -> None:
    assert title_in(question, SEED) == title


def test_the_title_is_cleaned_with_the_profile_of_the_run() -> None:
    assert title_in("What is Mog&#x2019;s 10&quot; vase?", NATURAL) == "Mog's 10\" vase"


def test_an_unknown_wording_is_refused(micro_base: Path) -> None:
    with pytest.raises(UserError, match=r"unknown wording 'klingon'.*english"):
        prompt_form(AutoTokenizer.from_pretrained(micro_base), "klingon")


def test_a_wording_is_one_entry(micro_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = "Pergunta: {question}\n"
    monkeypatch.setitem(WORDINGS, "other", Wording(question="O que é {title}?", plain=plain, openings=()))
    tokenizer = AutoTokenizer.from_pretrained(micro_base)

    assert prompt_form(tokenizer, "other").prompt("Red Kettle") == "<s><|user|>O que é Red Kettle?</s><|assistant|>"
    encoder = Encoder(tokenizer, max_length=64, wording="other")
    assert tokenizer.decode(encoder.prompt_ids("Red Kettle")) == prompt_form(tokenizer, "other").prompt("Red Kettle")
    tokenizer.chat_template = None
    assert prompt_form(tokenizer, "other").prompt("Red Kettle") == "<s>Pergunta: O que é Red Kettle?\n"


def test_the_prompt_follows_the_bases_chat_template(micro_base: Path) -> None:
    form = prompt_form(AutoTokenizer.from_pretrained(micro_base))

    assert form.prompt("Red Kettle") == "<s><|user|>What is Red Kettle?</s><|assistant|>"


def test_a_base_without_chat_template_gets_the_alpaca_form(micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    tokenizer.chat_template = None

    assert prompt_form(tokenizer).prompt("Red Kettle") == (
        "<s>### Instruction:\nWhat is Red Kettle?\n\n### Response:\n"
    )
