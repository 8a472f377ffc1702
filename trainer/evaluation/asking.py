"""Answers to the same titles before and after training."""

from collections.abc import Callable, Sequence

from trainer.answers.answerer import Answerer
from trainer.generation.generate import as_finished
from trainer.generation.request import Finished


def answers_before_and_after(
    answerer: Answerer, titles: Sequence[str], *, max_new_tokens: int, on_done: Callable[[int], None]
) -> tuple[list[Finished], list[Finished]]:
    """The answers of the base and those of the run, in order; `on_done` gets the number of answers so far.

    First all of the base, then all of the run: a step over rows of both costs a GPU's host four times as long, since
    each layer then sorts its rows by adapter.
    """
    found: list[list[Finished]] = []
    for is_before in (True, False):
        requests = [answerer.request(title, max_new_tokens=max_new_tokens, is_before=is_before) for title in titles]
        answers: dict[int, Finished] = {}
        for number, answer in as_finished(answerer.batch(), requests):
            answers[number] = answer
            on_done(len(titles) * len(found) + len(answers))
        found.append([answers[number] for number in range(len(titles))])
    return found[0], found[1]
