"""Answers before and after are those that each title gets alone, and recall says what they give back."""

from dataclasses import replace
from pathlib import Path

import pytest

from contract.errors import UserError
from trainer.answers.answerer import Answerer
from trainer.evaluation.evaluate import compare
from trainer.evaluation.records import Asked
from trainer.evaluation.schema import Source, read_evaluation
from trainer.examples.encoder import Record
from trainer.generation.generate import generate
from trainer.runs import names

TITLES = ("Lamp", "Enamel Coffee Pot With a Long Wooden Handle, 1.5 Litres", "Cesto de palha com tampa")
SOURCE = Source("1", "data", "train/part-00000-00000000.parquet", 0)


@pytest.mark.slow
def test_a_batch_of_before_and_after_is_token_for_token_one_title_at_a_time(answerer: Answerer) -> None:
    records = [Record(row, title, "A lamp for the desk.") for row, title in enumerate(TITLES)]
    asked = [Asked("seen", record, SOURCE) for record in records]
    titles = compare(answerer, asked, max_new_tokens=12)

    assert [title.before.text for title in titles] != [title.after.text for title in titles]
    for title in titles:
        for is_before, answer in ((True, title.before), (False, title.after)):
            request = answerer.request(title.title, max_new_tokens=12, is_before=is_before)
            (alone,) = generate(answerer.batch(num_slots=1), [request])
            assert (answer.text, answer.tokens) == (alone.text.strip(), len(alone.token_ids))
            assert answer.ends == (alone.finish_reason == "stop")

    # A text that the model gives back is one that a forward pass finds right, up to where the limit cut it.
    own = [Asked("seen", replace(each, content=titles[each.row].after.text), SOURCE) for each in records]
    again = compare(answerer, own, max_new_tokens=12)
    for title in again:
        assert title.after.right >= title.truth_tokens - 1
        assert title.after.rouge_l == title.after.chrf == 1.0
    assert sum(title.before.right for title in again) < sum(title.after.right for title in again)


def test_what_another_version_wrote_is_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / names.EVALUATION).write_text("[]")
    with pytest.raises(UserError, match="is not what this version of 'vitrine evaluate' writes"):
        read_evaluation(tmp_path)
    with pytest.raises(UserError, match=names.EVALUATION):
        read_evaluation(tmp_path / "nowhere")
