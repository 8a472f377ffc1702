"""The one exception for what a user, a file or a cluster can cause."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Says what was found, what was expected and what to do; the command line prints it and exits with code 2."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [f"error: {self}"]


def unknown_name(kind: str, found: str, known: Iterable[str]) -> UserError:
    """An error that names the nearest known spelling of a mistyped key, profile or the like."""
    known = sorted(known)
    nearest = difflib.get_close_matches(found, known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(known)}"
    return UserError(f"unknown {kind} {found!r}: {hint}")


def first_line(error: BaseException) -> str:
    """An error in one line; its type's name where it has no text."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
