"""Writes docs/options.md and docs/options.pt-BR.md from the settings themselves: python docs/options.py

The Portuguese texts stand in docs/options.pt-BR.toml, each under its English text, so that a text that changes asks for
its translation again. A test holds the pages against the settings.
"""

import sys
import tomllib
import typing
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Any, Final

from command.settings import Bounds, choices_of, settings_fields
from launch.cli import COMMANDS, Command
from spark_jobs.config import PrepareConfig
from trainer.config import TrainConfig

_HERE: Final = Path(__file__).parent
_TRANSLATIONS: Final = _HERE / "options.pt-BR.toml"
_KINDS: Final = {int: "whole number", float: "number", str: "text", bool: "yes or no"}
_WITH_RESULT: Final = (PrepareConfig, TrainConfig)
_TITLE: Final = "All options"
_INTRODUCTION: Final = (
    "Nearly every option can also stand in a settings file, `--config settings.toml`, as `name = value` with "
    "underscores in place of hyphens. Options on the command line have priority. These stand only on the command "
    "line: what is given without an option, such as `DATA`; `--dry-run`; `--num-processes` and `--cpu` of "
    "`train`; and `--debug`, which every command has and which shows where in the code an error comes from. An "
    "option that takes yes or no is switched off by `--no-NAME`. This page is made from the settings themselves "
    "by `python docs/options.py`."
)
_RESULT: Final = (
    "Options of `prepare` and `train` with a star change the result: another value makes another data set or another"
    " adapter."
)
_HEADINGS: Final = ("option", "value", "default", "meaning")
_REQUIRED: Final = "required"
_SEVERAL: Final = "several times for several"


def main() -> int:
    """Writes both pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


def pages() -> dict[Path, str]:
    """The text of each page by its path; KeyError names an English text that has no translation."""
    portuguese = translations()
    return {
        _HERE / "options.md": page(lambda text: text),
        _HERE / "options.pt-BR.md": page(lambda text: portuguese[text]),
    }


def translations() -> dict[str, str]:
    """Portuguese texts by their English ones."""
    return tomllib.loads(_TRANSLATIONS.read_text(encoding="utf-8"))


def page(translate: Callable[[str], str]) -> str:
    """All commands with their options, in the language of `translate`."""
    lines = [f"# {translate(_TITLE)}", "", translate(_INTRODUCTION), translate(_RESULT)]
    for name, command in COMMANDS.items():
        lines += ["", f"## vitrine {name}", "", f"{_sentence(translate(command.help))}", ""]
        lines += ["```console", *(f"$ {example.strip()}" for example in command.examples.splitlines()), "```", ""]
        lines += _row(*map(translate, _HEADINGS)) + _row(*["---"] * len(_HEADINGS))
        lines += [line for field, types in _fields(command) for line in _option(command, field, types, translate)]
    return "\n".join(lines) + "\n"


def texts() -> set[str]:
    """All English texts of the page."""
    asked: set[str] = set()

    def remember(text: str) -> str:
        asked.add(text)
        return text

    page(remember)
    return asked


def _fields(command: Command) -> Iterator[tuple["Field[Any]", Any]]:
    for cls in (command.settings, command.launch):
        if cls:
            types = typing.get_type_hints(cls)
            yield from ((field, types[field.name]) for field in settings_fields(cls))


def _option(command: Command, field: "Field[Any]", kind: Any, translate: Callable[[str], str]) -> list[str]:
    name = field.name.replace("_", "-")
    option = f"`{name.upper()}`" if field.name == command.positional else f"`--{name}`"
    if field.metadata["also"]:
        option += f", `--{field.metadata['also']}`"
    if field.metadata["changes"] != "nothing" and command.settings in _WITH_RESULT:
        option += " *"
    return _row(option, _value(field, kind, translate), _default(field, translate), translate(field.metadata["help"]))


def _value(field: "Field[Any]", kind: Any, translate: Callable[[str], str]) -> str:
    """What may stand behind the option: its kind, and its range where it has one."""
    choices = choices_of(kind)
    if typing.get_origin(choices[0]) is typing.Literal:
        return ", ".join(f"`{name}`" for name in typing.get_args(choices[0]))
    several = next((choice for choice in choices if typing.get_origin(choice) is tuple), None)
    words = [translate(_KINDS[typing.get_args(several)[0] if several else choices[0]])]
    bounds = field.metadata["bounds"]
    if bounds != Bounds() and not bounds.matching:
        words.append(translate(str(bounds)))
    return ", ".join([*words, *([translate(_SEVERAL)] if several else [])])


def _default(field: "Field[Any]", translate: Callable[[str], str]) -> str:
    if field.default is MISSING:
        return translate(_REQUIRED)
    return (
        ""
        if field.default in (None, (), "") or field.default is False
        else f"`{'yes' if field.default is True else field.default}`"
    )


def _row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


if __name__ == "__main__":
    sys.exit(main())
