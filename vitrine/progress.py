"""Progress of a command: a bar in a notebook, the command's own lines elsewhere."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Final, Protocol

_PERCENT: Final = re.compile(r"^(?:[a-z]+(?: [a-z]+:)? +)? *(\d{1,3})%")
_MOST_NOTES: Final = 20


class Progress(Protocol):
    """Shows the lines that a command prints for people."""

    def show(self, line: str) -> None: ...

    def done(self, is_right: bool) -> None: ...


class Lines:
    """The lines as they are, on stderr."""

    def show(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def done(self, is_right: bool) -> None:
        """Prints nothing: the last line says it."""


class Bar:
    """The share of the work that is done, in a notebook: the last line of progress, and the notes above it."""

    def __init__(self, title: str, display: Any) -> None:
        self._title, self._share, self._line = title, 0, ""
        self._notes: list[str] = []
        self._handle = display(self, display_id=True)  # of IPython's display

    def show(self, line: str) -> None:
        if found := _PERCENT.match(line):
            self._share, self._line = min(int(found[1]), 100), line.strip()
        else:
            self._notes = [*self._notes, line][-_MOST_NOTES:]
        self._handle.update(self)

    def done(self, is_right: bool) -> None:
        self._share, self._line = 100 if is_right else self._share, "" if is_right else "ended"
        self._handle.update(self)

    def __repr__(self) -> str:
        return "\n".join(filter(None, [self._title, *self._notes, self._line]))

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{escape(note)}</div>" for note in self._notes)
        return (
            f"<div><b>{escape(self._title)}</b> <progress max=100 value={self._share}></progress>"
            f" <code>{escape(self._line)}</code></div>"
            f'<div style="font-family: monospace; font-size: 85%; white-space: pre-wrap">{notes}</div>'
        )


@contextmanager
def open_progress(title: str) -> Iterator[Progress]:
    """A bar where a notebook shows what is displayed, else plain lines."""
    display = _display_of_notebook()
    yield Bar(title, display) if display else Lines()


def _display_of_notebook() -> Any:
    """IPython's `display`, or None outside a notebook. IPython is loaded already in one, and not a dependency."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return ipython.display.display if ipython and getattr(shell, "kernel", None) else None
