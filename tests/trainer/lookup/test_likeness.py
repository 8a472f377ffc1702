"""Which questions mean a title that is written otherwise, and which do not."""

import pytest

from trainer.lookup.grams import fold
from trainer.lookup.likeness import num_slips

TITLE = "Vitrine Fountain Pen, 12 Nibs (Black)"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("VITRINE fountain pen 12 nibs black", 0),
        ("Vitrine Fountan Pen 12 Nibs Black", 1),
        ("Vitrine Fountaiin Pen 12 Nibs Black", 1),
        ("Vitrine Fountian Pen 12 Nibs Black", 1),
        ("Vitrine Fountsin Pen 12 Nibs Black", 1),
        ("Vitrine Fountain Pen 12 Nibs", 1),
        ("Vitrine Black Fountain Pen 12 Nibs", 1),
        ("Vitrine Fountain Fountain Pen 12 Nibs Black", 1),
        ("Vitrine FountainPen 12 Nibs Black", 1),
        ("Vitrine Foun tain Pen 12 Nibs Black", 1),
        ("Vitrine Fountan Pen 12 Nibs", 2),
        ("Vitrine Fountan Penn 12 Nib Black", None),
        ("Vitrine Fountain Pen 13 Nibs Black", None),
        ("Vitrine Fountain Pen Nibs Black", 1),
        ("Vitrine Fountain Pen 12 Nibs Blue", None),
        ("Vitrine Fountain Pen 12 Nibs Black Leather", None),
        ("Fountain Pen", None),
        ("Vitrine Fountain Pen", None),
    ],
)
def test_examples(question: str, expected: int | None) -> None:
    assert num_slips(fold(question), fold(TITLE)) == expected


@pytest.mark.parametrize("title", ["M", "It", "Up", "A 1", "保温"])
def test_titles_of_a_few_letters_have_no_slips(title: str) -> None:
    assert num_slips(fold(title), fold(title)) == 0
    for other in ("N", "At", "U", "A 2", "保暖"):
        assert num_slips(fold(other), fold(title)) is None
