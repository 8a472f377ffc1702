"""Prints the packages that the project and some of its extras require, one on each line: requirements.py EXTRA …"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def requirements(extra: str, extras: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The packages of an extra, and those of the extras of ours that it names; KeyError if there is no such extra."""
    for requirement in extras[extra]:
        if own := re.fullmatch(r"vitrine\[(.+)\]", requirement):
            for name in own[1].split(","):
                yield from requirements(name, extras)
        else:
            yield requirement


if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    of_extras = [each for name in sys.argv[1:] for each in requirements(name, project["optional-dependencies"])]
    print(*project["dependencies"], *of_extras, sep="\n")
