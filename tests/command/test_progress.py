"""Progress is a bar on a terminal and plain lines elsewhere."""

import io

import pytest

from command import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100, 1))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = Terminal()

    bar = progress.ProgressBar("work:", stream=stream)
    bar.show(0.5, "half")
    bar.done("all")

    assert stream.getvalue() == "\rwork:  50%, 1s left  half\rwork: all in 2s          \n"


def test_without_a_terminal_lines_come_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 5, 11, 15, 3_700])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()

    lines = progress.ProgressBar("work:", stream=stream)
    for share in (0.1, 0.2, 0.3):
        lines.show(share)
    lines.done("all")

    assert stream.getvalue() == "work:  20%, 44s left\nwork: all in 1h01m\n"
