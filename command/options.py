"""The command line of a settings record: one option for each field."""

import argparse
import dataclasses
import typing
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from command.entry import USER_ERROR_CODE
from command.settings import Settings, choices_of, load_settings, settings_fields


class Parser(argparse.ArgumentParser):
    """Prints what is wrong in one line, as for all other errors."""

    def error(self, message: str) -> NoReturn:
        """Ends the process."""
        self.exit(USER_ERROR_CODE, f"error: {message}; '{self.prog} --help' shows what there is\n")


def parse_settings(
    cls: type[Settings],
    argv: Sequence[str] | None,
    *,
    prog: str,
    description: str,
    load: Callable[..., Settings] | None = None,
) -> Settings:
    """The record that command-line arguments and their `--config FILE.toml` give; exits with 2 on unknown options.

    Without `argv`, the arguments are those of this process.
    """
    parser = Parser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_config_option(parser)
    add_options(parser, cls)
    arguments = vars(parser.parse_args(argv))
    return (load or partial(load_settings, cls))(file=arguments.pop("config"), overrides=arguments)


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--config FILE.toml`, over which options win."""
    parser.add_argument("--config", metavar="FILE.toml", help="settings as 'name = value' lines; options win over it")


def add_options(parser: argparse.ArgumentParser, cls: type, *, positional: str = "") -> None:
    """Adds an option for every field of a settings record; the field `positional` is given without an option."""
    types_of = typing.get_type_hints(cls)
    for field in settings_fields(cls):
        if field.name == positional:
            is_required = field.default is dataclasses.MISSING
            parser.add_argument(field.name, nargs=None if is_required else "?", help=_help(field))
            continue
        option = "--" + field.name.replace("_", "-")
        text = _help(field)
        if bool in choices_of(types_of[field.name]):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            action = "append" if _is_list(types_of[field.name]) else "store"
            parse = _parser_of(types_of[field.name])
            options = [option, *(f"--{also}" for also in [field.metadata["also"]] if also)]
            parser.add_argument(*options, action=action, type=parse, metavar=field.name.upper(), help=text)


def to_argv(settings: Any) -> list[str]:
    """The options that give this record again."""
    argv = []
    for field in dataclasses.fields(settings):
        value, option = getattr(settings, field.name), "--" + field.name.replace("_", "-")
        if isinstance(value, bool):
            argv.append(option if value else option.replace("--", "--no-", 1))
        elif value is not None and value != field.default:
            argv += [f"{option}={item}" for item in (value if isinstance(value, tuple) else (value,))]
    return argv


def _help(field: "dataclasses.Field[Any]") -> str:
    text = field.metadata["help"].replace("%", "%%")
    if field.default in (dataclasses.MISSING, None, "", ()) or isinstance(field.default, bool):
        return text
    return f"{text} (default: {field.default})"


def _is_list(expected: Any) -> bool:
    return any(typing.get_origin(choice) is tuple for choice in choices_of(expected))


def _parser_of(expected: Any) -> Callable[[str], Any]:
    kind = choices_of(expected)[0]
    return kind if isinstance(kind, type) else str
