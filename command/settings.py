"""Settings records: frozen dataclasses filled from defaults, a TOML file and the command line, in that order."""

import argparse
import dataclasses
import os
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from command import caller
from contract.errors import UserError, unknown_name

Settings = TypeVar("Settings")

USER_ERROR_CODE: Final = 2
INTERRUPTED_CODE: Final = 130
DEBUG: Final = "VITRINE_DEBUG"


def setting(default: Any = dataclasses.MISSING, *, help: str, also: str = "") -> Any:
    """A field of a settings record; `help` is what the command line says about it, `also` its option's other name."""
    return dataclasses.field(default=default, metadata={"help": help, "also": also})


def load_settings(
    cls: type[Settings], *, file: str | None, overrides: Mapping[str, Any], earlier: Mapping[str, Any] | None = None
) -> Settings:
    """A checked record. Overrides that are None are taken as not given; `earlier` ones stand before those of the file.

    UserError names every unknown key with its nearest known one, every wrong type and every missing value.
    """
    values = dict(earlier or {}) | given_settings(file=file, overrides=overrides)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # any dataclass
    types_of = typing.get_type_hints(cls)

    problems = [str(unknown_name("setting", name, fields)) for name in values if name not in fields]
    problems += [f"{name!r} is empty" for name, value in values.items() if value in ("", [""], ("",))]
    for name in fields.keys() & values.keys():
        values[name], problem = _convert(name, values[name], types_of[name])
        problems += problem
    problems += [
        f"{name!r} is missing: {field.metadata['help']}"
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and name not in values
    ]
    if problems:
        raise UserError("; ".join(sorted(problems)))
    return cls(**values)


def given_settings(*, file: str | None, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """What the user has set, as it stands there: unchecked. UserError where the file cannot be read."""
    values = {} if file is None else _read_toml(file)
    return values | {name: value for name, value in overrides.items() if value is not None}


def _read_toml(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))  # Windows editors begin a file with a mark
    except FileNotFoundError as error:
        raise UserError(f"no such config file: {path}") from error
    except OSError as error:
        raise UserError(f"cannot read the config file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from error


def _convert(name: str, value: Any, expected: Any) -> tuple[Any, list[str]]:
    """The value as the field wants it (an int serves as a float, a list or one item as a tuple), and what is wrong."""
    choices = typing.get_args(expected) if isinstance(expected, types.UnionType) else (expected,)
    if float in choices and type(value) is int:
        value = float(value)
    if any(typing.get_origin(choice) is tuple for choice in choices) and value is not None:
        value = tuple(value) if isinstance(value, list | tuple) else (value,)
    for choice in choices:
        if typing.get_origin(choice) is typing.Literal:
            if value in typing.get_args(choice):
                return value, []
        elif typing.get_origin(choice) is tuple:
            if isinstance(value, tuple) and all(isinstance(item, typing.get_args(choice)[0]) for item in value):
                return value, []
        elif type(value) is choice:
            return value, []
    return value, [f"{name} = {value!r}, expected {type_name(expected)}"]


def type_name(expected: Any) -> str:
    """A field's type in words for messages and help texts."""
    if typing.get_origin(expected) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(expected)))
    if isinstance(expected, types.UnionType):
        return " or ".join(type_name(choice) for choice in typing.get_args(expected) if choice is not type(None))
    if typing.get_origin(expected) is tuple:
        return f"list of {type_name(typing.get_args(expected)[0])}"
    return expected.__name__


class Parser(argparse.ArgumentParser):
    """Says what is wrong as all other errors are said: in one line."""

    def error(self, message: str) -> NoReturn:
        """Ends the process."""
        self.exit(USER_ERROR_CODE, f"error: {message}; '{self.prog} --help' shows what there is\n")


def parse_settings(
    cls: type[Settings],
    argv: Sequence[str],
    *,
    prog: str,
    description: str,
    load: Callable[..., Settings] | None = None,
) -> Settings:
    """The record that command-line arguments and their `--config FILE.toml` give; exits with 2 on unknown options."""
    parser = Parser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser, cls)
    arguments = vars(parser.parse_args(argv))
    return (load or partial(load_settings, cls))(file=arguments.pop("config"), overrides=arguments)


def add_options(parser: argparse.ArgumentParser, cls: type, *, without: Sequence[str] = ()) -> None:
    """An option for every field not in `without`, and `--config FILE.toml`, over which options win."""
    parser.add_argument("--config", metavar="FILE.toml", help="settings as 'name = value' lines; options win over it")
    types_of = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.name in without:
            continue
        option = "--" + field.name.replace("_", "-")
        text = _help(field)
        if bool in (types_of[field.name], *typing.get_args(types_of[field.name])):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            action = "append" if _is_list(types_of[field.name]) else "store"
            parse = _parser_of(types_of[field.name])
            options = [option, *(f"--{also}" for also in [field.metadata["also"]] if also)]
            parser.add_argument(*options, action=action, type=parse, metavar=field.name.upper(), help=text)


def exit_code(command: Callable[[], int | None], *, debug: bool = False) -> int:
    """Runs a command for an entry point: what it returns, or 0; 2 after a user's mistake, with its message.

    Where it is one of several processes of a command, what one of them has said the others do not say again, nor how
    they fail when it ends.
    """
    try:
        return command() or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED_CODE
    except UserError as error:
        if debug or os.environ.get(DEBUG):
            raise
        if caller.tell(USER_ERROR_CODE, str(error)):
            print(f"error: {error}\n", end="", file=sys.stderr)  # in one write: several ranks may speak at once
        return USER_ERROR_CODE
    except Exception:
        if debug or os.environ.get(DEBUG) or not caller.is_told():
            caller.tell_crash()
            raise
        return USER_ERROR_CODE


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
    if field.default in (dataclasses.MISSING, None, True, False, ""):
        return text
    return f"{text} (default: {field.default})"


def _is_list(expected: Any) -> bool:
    return any(typing.get_origin(choice) is tuple for choice in (expected, *typing.get_args(expected)))


def _parser_of(expected: Any) -> Callable[[str], Any]:
    choices = [choice for choice in typing.get_args(expected) or (expected,) if choice is not type(None)]
    return choices[0] if isinstance(choices[0], type) else str
