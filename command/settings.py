"""Settings records: frozen dataclasses filled from defaults, a TOML file and the command line, in that order."""

import dataclasses
import math
import operator
import re
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from contract.errors import UserError, unknown_name

Settings = TypeVar("Settings")


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    also: str = "",
    changes: Literal["result", "later steps", "nothing"] = "result",
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    matching: str = "",
    expected: str = "",
) -> Any:
    """A field of a settings record, with all that holds for this setting alone.

    `help` is what the command line and docs/options.md say about it, `also` its option's other name, `changes` whether
    another value makes another data set or adapter ("later steps": a resumed training may have another value, which
    changes only its later steps). A value is in range if it is finite, at least `least`, at most
    `most`, above `above` and below `below`; a text, or each text of several, if all of it matches the regular
    expression `matching`, which messages describe by `expected`.
    """
    bounds = Bounds(least=least, most=most, above=above, below=below, matching=matching, expected=expected)
    metadata = {"help": help, "also": also, "changes": changes, "bounds": bounds}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """Which values a setting may have."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    matching: str = ""
    expected: str = ""

    def __contains__(self, value: object) -> bool:
        """None and booleans are in any range."""
        if isinstance(value, bool) or value is None:
            return True
        if isinstance(value, int | float):
            return (isinstance(value, int) or math.isfinite(value)) and all(
                is_right(value, bound) for _, is_right, bound in self._limits() if bound is not None
            )
        texts = value if isinstance(value, tuple) else (value,)
        return not self.matching or all(re.fullmatch(self.matching, text) for text in texts)

    def __str__(self) -> str:
        """The range in words.

        >>> print(Bounds(least=0, below=1), Bounds(), Bounds(matching="[a-z]+", expected="a word"), sep="; ")
        at least 0 and below 1; a finite number; a word
        """
        limits = [f"{words} {bound:,}" for words, _, bound in self._limits() if bound is not None]
        return self.expected or " and ".join(limits) or "a finite number"

    def _limits(self) -> tuple[tuple[str, Callable[[Any, Any], bool], float | None], ...]:
        return (
            ("at least", operator.ge, self.least),
            ("above", operator.gt, self.above),
            ("at most", operator.le, self.most),
            ("below", operator.lt, self.below),
        )


def check_settings(settings: Any, *problems: str) -> None:
    """Raises UserError that lists every value out of its range, then `problems`, if there are any."""
    out_of_range = [
        f"{field.name} = {getattr(settings, field.name)!r}, expected {bounds}"
        for field in settings_fields(type(settings))
        if getattr(settings, field.name) not in (bounds := field.metadata["bounds"])
    ]
    if found := [*out_of_range, *problems]:
        raise UserError("; ".join(found))


def settings_of_result(settings: Any) -> dict[str, Any]:
    """The settings, by name, of which another value makes another data set or adapter from the first step on."""
    fields = settings_fields(type(settings))
    return {field.name: getattr(settings, field.name) for field in fields if field.metadata["changes"] == "result"}


def settings_fields(cls: type) -> "list[dataclasses.Field[Any]]":
    """The fields of a record that `setting` has made, in their order."""
    return [field for field in dataclasses.fields(cls) if "help" in field.metadata]


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
    choices = choices_of(expected)
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


def choices_of(expected: Any) -> tuple[Any, ...]:
    """The types that a field's type allows, without None. `Literal[...] | None` is a typing.Union up to Python 3.13."""
    is_union = typing.get_origin(expected) in (typing.Union, types.UnionType)
    return (
        tuple(choice for choice in typing.get_args(expected) if choice is not type(None)) if is_union else (expected,)
    )


def type_name(expected: Any) -> str:
    """A field's type in words for messages and help texts."""
    if typing.get_origin(expected) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(expected)))
    if choices_of(expected) != (expected,):
        return " or ".join(map(type_name, choices_of(expected)))
    if typing.get_origin(expected) is tuple:
        return f"list of {type_name(typing.get_args(expected)[0])}"
    return expected.__name__
