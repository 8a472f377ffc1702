"""Ends with 1 if the model of a demo's run did not learn the catalogue, by its evaluation: check_demo.py RUN."""

import sys
from collections.abc import Sequence
from pathlib import Path

from command.entry import exit_code
from launch.demo import judge, seen_scores


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 or 1, or 2 if the run was not evaluated."""
    (run,) = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: check(Path(run)))


def check(run: Path) -> int:
    """Exit code 0 or 1; prints the verdict if it is 1."""
    has_learned, verdict = judge(*seen_scores(run))
    if has_learned:
        return 0
    print(verdict, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
