"""Answers to the same titles before and after training, all of them in one batch."""

from collections.abc import Callable, Sequence

from trainer.answers.answerer import Answerer
from trainer.generation.generate import as_finished
from trainer.generation.request import Finished


def answers_before_and_after(
    answerer: Answerer, titles: Sequence[str], *, max_new_tokens: int, on_done: Callable[[int], None]
) -> tuple[list[Finished], list[Finished]]:
    """The answers of the base and those of the run, in order; `on_done` gets the number of answers so far."""
    requests = [
        answerer.request(title, max_new_tokens=max_new_tokens, is_before=is_before)
        for is_before in (True, False)
        for title in titles
    ]
    answers: dict[int, Finished] = {}
    for number, answer in as_finished(answerer.batch(), requests):
        answers[number] = answer
        on_done(len(answers))
    in_order = [answers[number] for number in range(len(requests))]
    return in_order[: len(titles)], in_order[len(titles) :]
