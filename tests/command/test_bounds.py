"""A setting's range stands at its field: messages, checks and the identity of a result follow from it."""

import doctest
import math
from dataclasses import dataclass

import pytest

from command import settings
from command.settings import Bounds, check_settings, setting, settings_of_result
from contract.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Oven:
    degrees: int = setting(180, help="how hot", least=0, most=300)
    hours: float = setting(1.0, help="how long", above=0)
    share: float | None = setting(None, help="how full", least=0, below=1, changes="nothing")
    dishes: tuple[str, ...] = setting((), help="what is baked", matching="[a-z]+", expected="words in small letters")
    fan: bool = setting(False, help="with air")


@pytest.mark.parametrize(
    ("bounds", "value", "is_in"),
    [
        (Bounds(least=0), 0, True),
        (Bounds(least=0, most=9), 10**400, False),  # more than any float
        (Bounds(least=0), -1, False),
        (Bounds(above=0), 0, False),
        (Bounds(above=0), 1e-9, True),
        (Bounds(most=3), 3, True),
        (Bounds(most=3), 4, False),
        (Bounds(below=3), 3, False),
        (Bounds(), math.nan, False),
        (Bounds(), math.inf, False),
        (Bounds(least=1), None, True),
        (Bounds(least=1), False, True),
        (Bounds(matching="a+"), "aa", True),
        (Bounds(matching="a+"), "aab", False),
        (Bounds(matching="a+"), ("a", "b"), False),
    ],
)
def test_a_value_is_in_range_or_not(bounds: Bounds, value: object, is_in: bool) -> None:
    assert (value in bounds) is is_in


def test_every_value_out_of_range_is_named_with_its_range_and_other_problems_after_them() -> None:
    check_settings(Oven())
    with pytest.raises(UserError) as raised:
        check_settings(Oven(degrees=301, hours=math.inf, share=1.0, dishes=("pie", "Pie")), "too much of a good thing")
    assert str(raised.value).split("; ") == [
        "degrees = 301, expected at least 0 and at most 300",
        "hours = inf, expected above 0",
        "share = 1.0, expected at least 0 and below 1",
        "dishes = ('pie', 'Pie'), expected words in small letters",
        "too much of a good thing",
    ]


def test_the_identity_of_a_result_holds_the_settings_that_change_it() -> None:
    assert settings_of_result(Oven(fan=True)) == {"degrees": 180, "hours": 1.0, "dishes": (), "fan": True}


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(settings)
    assert (result.failed, result.attempted > 0) == (0, True)
