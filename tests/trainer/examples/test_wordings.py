"""Wordings as data, and which of them a record gets in an epoch."""

import os
from collections import Counter
from itertools import pairwise

import pytest

from contract.errors import UserError
from contract.keys import record_key
from contract.text.profiles import SEED
from trainer.examples.questions import asked_about
from trainer.examples.wordings import WORDINGS, draw, find_wordings, held_out, wordings_of_run

KEYS = [record_key(f"Title {number}", "text") for number in range(1_000)]


@pytest.mark.parametrize("num", [1, 2, 5, 8, 15, 16])
def test_a_record_gets_every_wording_once_in_as_many_epochs(num: int) -> None:
    cycles = [[draw(KEYS, epoch=epoch, num=num) for epoch in range(start, start + num)] for start in (0, num, 7 * num)]
    for epochs in cycles:
        assert all(set(drawn) == set(range(num)) for drawn in zip(*epochs, strict=True))
    if num > 4:
        orders = [list(zip(*epochs, strict=True)) for epochs in cycles]
        assert all(sum(a == b for a, b in zip(*two, strict=True)) < 200 for two in pairwise(orders))  # drawn anew


@pytest.mark.parametrize("num", [2, 5, 16])
def test_the_records_of_an_epoch_share_the_wordings_evenly(num: int) -> None:
    for epoch in range(20):
        counts = Counter(draw(KEYS, epoch=epoch, num=num).tolist())
        expected = len(KEYS) / num
        assert all(abs(counts[number] - expected) < 5 * expected**0.5 for number in range(num))


def test_neighbours_in_a_shard_get_wordings_of_their_own() -> None:
    """Shards are in the order of keys, so neighbours have the first bytes of their keys in common."""
    keys = [bytes(8) + os.urandom(8) for _ in range(400)]
    assert max(Counter(draw(keys, epoch=0, num=16).tolist()).values()) < 60


def test_what_is_drawn_depends_on_key_and_epoch_alone() -> None:
    alone = [draw([key], epoch=5, num=16)[0] for key in KEYS]
    assert alone == draw(KEYS, epoch=5, num=16).tolist()
    assert len(draw([], epoch=5, num=16)) == 0


def test_a_set_is_all_wordings_of_its_language_that_are_trained() -> None:
    mixed, english, portuguese = map(find_wordings, ("mixed", "english", "portuguese"))
    assert set(english) | set(portuguese) == set(mixed)
    assert english[0].question == "What is {title}?"
    assert {each.use for each in mixed} == {"trained"}
    assert [each.name for each in find_wordings("what-is")] == ["what-is"]
    for language in ("english", "portuguese"):
        assert len(held_out(language)) >= 3
        assert not {each.question for each in held_out(language)} & {each.question for each in mixed}


@pytest.mark.parametrize("name", ["klingon", "website", ""])
def test_a_name_that_no_run_may_train_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="unknown wording"):
        find_wordings(name)


def test_a_run_keeps_the_questions_that_it_trained() -> None:
    assert [each.question for each in wordings_of_run({})] == ["What is {title}?"]  # from before there were several
    kept = {"what-is": "What was {title}?", "gone": "And {title}?", "o-que-e": "O que é {title}?"}
    run = wordings_of_run({"wordings": kept, "in lower case": ["gone"]})
    assert [each.name for each in run if each.is_lower] == ["gone"]
    assert {each.name: each.question for each in run} == kept
    assert [each.language for each in run] == ["english", "english", "portuguese"]


@pytest.mark.parametrize("name", [name for name, each in WORDINGS.items() if not each.is_prompt])
@pytest.mark.parametrize("title", ["The Thread of Halmere", "What Is Life", "Monsters, Inc.", "10 Vase"])
def test_every_wording_is_understood_when_a_person_writes_it(name: str, title: str) -> None:
    for template in (WORDINGS[name].question, *WORDINGS[name].also):
        found = asked_about(template.replace("{title}", title), SEED)
        assert found.title in (title, title.removesuffix(".")), template
        assert found.language == WORDINGS[name].language
