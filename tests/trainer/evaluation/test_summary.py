"""A verdict says that a model learned only where what comes back shows it."""

import pytest

from command.languages import LANGUAGES
from tests.trainer.evaluation.evaluations import answer, evaluation, recalled, title
from trainer.evaluation.schema import Title
from trainer.evaluation.sentences import evidence, headline
from trainer.evaluation.summary import group


def seen(num: int, *, back: int, **changes: object) -> list[Title]:
    """Trained titles of which so many come back whole."""
    return [title(number, after=recalled() if number < back else answer(**changes)) for number in range(num)]


def unseen(num: int, *, back: int = 0) -> list[Title]:
    return [title(100 + n, "unseen", after=recalled() if n < back else answer()) for n in range(num)]


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (seen(20, back=19) + unseen(10), ("remembers", "whole")),
        (seen(20, back=20) + unseen(5), ("remembers", "whole")),
        (seen(10, back=10), ("remembers", "whole")),
        (seen(20, back=6) + unseen(20), ("part", "whole")),
        (seen(20, back=0, right=3) + unseen(10), ("nothing", None)),
        (seen(20, back=0, loss=3.0) + unseen(10), ("nothing", None)),  # the same for every title: no interval
        (seen(20, back=19) + unseen(20, back=19), ("style", "loss")),  # what everything begins with is no memory
        (seen(4, back=4) + unseen(10), ("too_few", None)),
        (unseen(10), ("too_few", None)),
    ],
)
def test_the_verdict_follows_from_recall_its_interval_and_unseen_titles(
    titles: list[Title], expected: tuple[str, str | None]
) -> None:
    verdict = evaluation(titles).verdict

    assert (verdict.learned, verdict.by) == expected


def test_style_is_a_loss_that_falls_while_nothing_comes_back() -> None:
    titles = [title(number, after=answer(loss=3.0 + number / 100)) for number in range(20)]

    assert evaluation(titles + unseen(10)).verdict.learned == "style"


def test_beginnings_count_as_a_part() -> None:
    titles = [title(n, truth_tokens=60, after=answer(right=8 if n < 10 else 2)) for n in range(20)]

    assert (evaluation(titles + unseen(20)).verdict.learned, evaluation(titles).verdict.by) == ("part", "first_8")


def test_the_records_of_one_title_count_as_one() -> None:
    twice = [title(0, after=recalled()), title(0), title(1, after=recalled())]
    found = group(twice, "seen")

    assert found is not None
    assert (found.records, found.titles) == (3, 2)
    assert found.scores["whole"].after == pytest.approx(0.75)


def test_an_unseen_title_whose_text_was_trained_is_neither_kind() -> None:
    known = [title(200 + number, "unseen", has_trained_text=True, after=recalled()) for number in range(10)]
    found = evaluation(seen(20, back=19) + unseen(10) + known)

    assert found.unseen is not None
    assert (found.unseen.titles, found.unseen.scores["whole"].after, found.verdict.learned) == (10, 0, "remembers")
    assert any("10 of the titles it never saw" in text for text in evidence(found, "en"))
    assert evaluation(seen(20, back=19) + known).unseen is None


def test_cut_texts_are_in_no_share_of_recall() -> None:
    found = group([title(0, is_cut=True, after=recalled()), title(1)], "seen")

    assert found is not None
    assert found.scores["whole"].after == 0
    assert found.scores["rouge_l"].after == 0.5
    only_cut = evaluation([title(number, is_cut=True) for number in range(8)])
    assert only_cut.seen is not None
    assert "whole" not in only_cut.seen.scores
    assert all(list(evidence(only_cut, language)) for language in LANGUAGES)


def test_a_share_names_the_titles_that_it_counts_and_those_that_it_does_not() -> None:
    cut = [title(300 + number, is_cut=True) for number in range(2)]
    first, *others = evidence(evaluation(seen(10, back=10) + cut + unseen(5)), "en")

    assert first.startswith("Of 10 titles that it was trained on, it gives back 100%")
    assert any("2 titles whose descriptions are longer" in text for text in others)


@pytest.mark.parametrize("num", [0, 1, 5, 20])
@pytest.mark.parametrize("back", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("others", [0, 10])
def test_each_verdict_has_as_many_sentences_in_both_languages(num: int, back: float, others: int) -> None:
    found = evaluation(seen(num, back=int(back * num)) + unseen(others) or unseen(1))
    english, portuguese = (list(evidence(found, language)) for language in LANGUAGES)

    assert len(english) == len(portuguese)
    assert headline(found, "en") != headline(found, "pt")
    assert not {*english} & {*portuguese}
    assert not any("{" in text or "}" in text for text in english + portuguese)
