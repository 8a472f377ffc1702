"""What comes from the data fits a terminal and cannot command it."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from command.terminal import columns, cut, printable, wrap

TEXTS = st.text(st.sampled_from("ab  é茶\u0301\u3000🫖,.") | st.characters(), max_size=60)


@given(text=TEXTS)
def test_printable_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)

    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert printable(shown) == shown
    assert shown.encode().decode() == shown  # no half of a surrogate pair is left


@given(text=TEXTS.map(printable).filter(lambda text: "…" not in text), width=st.integers(2, 30), room=st.integers(1, 5))
def test_lines_fit_and_lose_only_blanks_before_the_cut(text: str, width: int, room: int) -> None:
    lines = wrap(text, width, max_lines=room)
    told, whole = "".join("".join(lines).split()), "".join(text.split())

    assert all(columns(line) <= width for line in lines)
    assert 1 <= len(lines) <= room
    assert whole.startswith(told.removesuffix("…")) if told.endswith("…") else whole == told


def test_wide_letters_take_two_columns_and_marks_none() -> None:
    assert [columns(text) for text in ("abc", "茶", "cafe\u0301", "ﾃ", "Ａ")] == [3, 2, 4, 1, 2]
    assert [cut("茶茶茶", width) for width in (5, 4, 2)] == ["茶茶…", "茶…", "…"]
    assert wrap("a red mug for tea", 7, max_lines=9) == ["a red", "mug for", "tea"]
    assert wrap("unbreakable", 4, max_lines=2) == ["unbr", "eak…"]
