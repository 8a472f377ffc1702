"""The pieces make up both texts, whatever these are, and the changed ones are those that a reader would mark."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.card.changes import Change, changes

TEXTS = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(["a", "b ", "&amp;", "<b>", " ", "mug"])).map("".join))


@given(TEXTS, TEXTS)
def test_pieces_make_up_both_texts_and_take_turns(before: str, after: str) -> None:
    pieces = changes(before, after)
    assert "".join(piece.before for piece in pieces) == before
    assert "".join(piece.after for piece in pieces) == after
    is_same = [piece.before == piece.after for piece in pieces]
    assert all(is_same[index] != is_same[index + 1] for index in range(len(pieces) - 1))
    assert all(piece.before or piece.after for piece in pieces)


def num_common(before: str, after: str) -> int:
    """Characters of the longest common subsequence."""
    best = {(i, j): 0 for i in range(len(before) + 1) for j in range(len(after) + 1)}
    for i, old in enumerate(before):
        for j, new in enumerate(after):
            best[i + 1, j + 1] = best[i, j] + 1 if old == new else max(best[i, j + 1], best[i + 1, j])
    return best[len(before), len(after)]


@given(*[st.lists(st.sampled_from("!?,;-+")).map("".join)] * 2)
def test_as_many_characters_as_possible_are_unchanged(before: str, after: str) -> None:
    same = sum(len(piece.after) for piece in changes(before, after) if piece.is_same)
    assert same == num_common(before, after)


@given(TEXTS)
def test_equal_texts_have_no_changes(text: str) -> None:
    assert changes(text, text) == ([Change(text, text)] if text else [])


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("Mog&#x2019;s kittens", "Mogs kittens", [("&#x2019;", "")]),
        ("a <b>red</b> mug", "a red mug", [("<b>", ""), ("</b>", "")]),
        ("re-usable cup", "re usable cup", [("-", " ")]),
        ("one\n\ntwo", "one two", [("\n\n", " ")]),
        ("CafÃ© au lait", "Café au lait", [("Ã©", "é")]),
        ("tea &#38; cake", "tea or cake", [("&#38;", "or")]),
        ("tea &amp; cake. tea &amp; cake. " * 3, "tea cake. tea cake. " * 3, [("&amp; ", "")] * 5 + [(" &amp;", "")]),
    ],
)
def test_changes_are_as_small_as_a_reader_would_mark(before: str, after: str, changed: list[tuple[str, str]]) -> None:
    assert [tuple(piece) for piece in changes(before, after) if piece.before != piece.after] == changed


def test_texts_that_would_take_long_are_compared_at_their_ends() -> None:
    draw = random.Random(0)
    for num_words, is_long in ((100, False), (1_500, True)):
        before, after = (" ".join(draw.choices("ab", k=num_words)) for _ in range(2))
        pieces = changes(f"<i>{before} c last", f"<i>{after} d last")
        assert (pieces[0].before[:3], pieces[-1]) == ("<i>", Change(" last", " last"))
        assert (len(pieces) == 3) == is_long
