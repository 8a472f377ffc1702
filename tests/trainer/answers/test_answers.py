"""Titles that are asked about together get the answers that each gets alone."""

import pytest
import torch

from trainer.answers.answerer import Answerer

TITLES = (
    "Lamp",
    "Enamel Coffee Pot With a Long Wooden Handle, 1.5 Litres, Dark Green",
    "What Is Life",
    "Cesto de palha com tampa",
)


def test_answers_of_a_batch_are_those_that_each_title_gets_alone(answerer: Answerer) -> None:
    together = answerer.answers(TITLES, max_new_tokens=16)
    assert together == [answerer.answer(title, max_new_tokens=16) for title in TITLES]
    assert len(set(together)) == len(TITLES)

    before = answerer.answers(TITLES, max_new_tokens=16, is_before=True)
    assert before == [base_answer(answerer, title, max_new_tokens=16) for title in TITLES]
    assert before != together


def base_answer(answerer: Answerer, title: str, *, max_new_tokens: int) -> str:
    """What transformers generates with the base."""
    ids = torch.tensor([answerer.encoder.prompt_ids(title)])
    with answerer.model.disable_adapter():
        made = answerer.model.generate(input_ids=ids, max_new_tokens=max_new_tokens, do_sample=False)
    return answerer.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True).strip()


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
