"""What a notebook shows: progress as a bar, results as tables, and every text escaped."""

from typing import Any

import pytest

from vitrine.progress import Bar, open_progress
from vitrine.results import Answer, _frame


class Shown:
    """A display of a notebook that keeps what it shows."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    def __call__(self, each: Any, *, display_id: bool) -> "Shown":
        assert display_id
        self.update(each)
        return self

    def update(self, each: Any) -> None:
        self.pages.append(each._repr_html_())


def test_a_bar_follows_the_lines_of_progress_and_keeps_the_notes() -> None:
    shown = Shown()
    bar = Bar("vitrine train", shown)
    bar.show("noted: 1 <b>")
    bar.show("reading  34%, 5s left  300 rows, 1 of 3 tasks")
    assert "value=34" in shown.pages[-1]
    bar.show("measuring recall:  54%, 29s left")
    assert "value=54" in shown.pages[-1]
    bar.show(" 62%  step 80  loss 0.0154")
    assert "value=62" in shown.pages[-1]
    assert "noted: 1 &lt;b&gt;" in shown.pages[-1]
    bar.done(True)
    assert "value=100" in shown.pages[-1]
    assert "62%" not in shown.pages[-1]
    assert "54%" not in shown.pages[-1]


def test_a_command_that_failed_is_not_shown_as_done() -> None:
    shown = Shown()
    bar = Bar("vitrine train", shown)
    bar.show(" 62%  step 80")
    bar.done(False)
    assert "value=62" in shown.pages[-1]


def test_outside_a_notebook_lines_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with open_progress("vitrine prepare") as progress:
        progress.show("reading  34%")
        progress.done(True)
    assert capsys.readouterr().err == "reading  34%\n"


def test_texts_of_models_and_catalogues_are_escaped() -> None:
    source = {"uid": "<u>", "text": "<img src=x>", "supported": [[1, 7]]}
    answer = Answer({"answer": "<script>alert(1)</script>", "title": "<img src=x>", "sources": [source]})
    assert str(answer) == "<script>alert(1)</script>"
    page = answer._repr_html_()
    assert not any(tag in page for tag in ("<script", "<img", "<u>"))
    assert "<blockquote>&lt;<mark>script</mark>&gt;alert(1)" in page
    assert (
        "nearest titles: &lt;T&gt;" in Answer({"answer": "", "in_catalogue": False, "nearest": ["<T>"]})._repr_html_()
    )
    assert _frame('<p class="a">') == (
        '<iframe sandbox="allow-same-origin" srcdoc="&lt;p class=&quot;a&quot;&gt;" width="100%" height="600"'
        ' style="border: 0"></iframe>'
    )
