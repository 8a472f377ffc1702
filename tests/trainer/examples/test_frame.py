"""What a base's chat template writes around a question, and which templates are refused."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from contract.errors import UserError
from trainer.examples.encoder import Encoder
from trainer.examples.prompt import Frame, prompt_form, read_frame
from trainer.examples.wordings import WORDINGS, find_wordings

DATED = "<|user|>{{ strftime_now('%d %b %Y %H:%M:%S.%f') }}\n{{ messages[0]['content'] | trim }}<|assistant|>"


@pytest.fixture(name="tokenizer")
def _tokenizer(micro_base: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(micro_base)


def test_a_frame_holds_every_question_as_the_template_writes_it(tokenizer: PreTrainedTokenizerBase) -> None:
    assert read_frame(tokenizer) == Frame("<s><|user|>", "</s><|assistant|>")
    for wording in WORDINGS.values():
        if not wording.is_prompt:
            question = [{"role": "user", "content": wording.question.format(title="Red Kettle")}]
            whole = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
            assert prompt_form(tokenizer, wording).prompt("Red Kettle").lower() == whole.lower()


def test_a_frame_that_was_kept_gives_the_same_tokens_though_the_template_writes_the_time(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    tokenizer.chat_template = DATED
    first = Encoder(tokenizer, max_length=256)
    later = Encoder(tokenizer, max_length=256, frame=first.frame)

    assert read_frame(tokenizer) != first.frame  # the time has gone on
    assert later.identity == first.identity
    for name in WORDINGS:
        assert later.prompt_ids("Red Kettle", wording=name) == first.prompt_ids("Red Kettle", wording=name)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for", "a chat template that fails: "),
        ("{{ raise_exception('only with a system message') }}", "fails: only with a system message"),
        ("{{ 1 / 0 }}", "fails: division by zero"),
        ("{{ messages[3]['content'] + 'x' }}", "a chat template that fails: "),
        ("{{ messages[0]['content'] + 1 }}", "a chat template that fails: "),
        ("{% for part in messages[0]['content'] %}{{ part.text }}{% endfor %}", "as a list of parts, expected a text"),
        ("{{ messages[0]['content'][0]['text'] + '!' }}", "as a list of parts, expected a text"),
        ("{{ messages[0]['content'] }} {{ messages[0]['content'] }}", "writes a question 2 times, expected once"),
        ("{{ bos_token }}Hello!", "leaves the question out or changes it"),
        ("{{ messages[0]['content'] | upper }}", "leaves the question out or changes it"),
        ("{{ messages[0]['content'] | e }}", "leaves the question out or changes it"),
    ],
)
def test_a_template_that_cannot_be_used_is_named_in_one_line(
    tokenizer: PreTrainedTokenizerBase, template: str, message: str
) -> None:
    tokenizer.chat_template = template

    with pytest.raises(UserError) as raised:
        Encoder(tokenizer, max_length=128, wordings=find_wordings("what-is"))
    assert message in str(raised.value)
    assert "give it one that writes a text once and unchanged, or none" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
