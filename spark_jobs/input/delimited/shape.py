"""What a row of a file looks like: how many values, and codes in which columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_CODE: Final = re.compile(rb"\S*\d\S*")  # an id, a price, a date, an address: one word with a digit in it
_RUNS: Final = re.compile(rb"(\d+)|([A-Z]+)|([a-z]+)|([\x80-\xff]+)")
_RUN_FORMS: Final = (b"9", b"A", b"a", b"b")  # of each group
_MOST_FORMS: Final = 100  # of the codes of a column; with more, any code may stand there
_ANY: Final = b"any"


@dataclass(frozen=True)
class Shape:
    """What is known of the rows of a file."""

    num_columns: int
    num_named: int  # columns up to the last one that has a name
    codes: Mapping[int, frozenset[bytes]] = field(default_factory=dict)  # forms of codes, by column: see `codes_of`

    def fitted(self, values: list[bytes]) -> list[bytes] | None:
        """A value for each column: without empty ones behind the last, with empty ones for columns without a name.

        None where there are more or fewer values than columns.
        """
        if len(values) > self.num_columns and not any(values[self.num_columns :]):
            return values[: self.num_columns]
        if self.num_named <= len(values) <= self.num_columns:
            return values + [b""] * (self.num_columns - len(values))
        return None

    def can_be_row(self, values: Sequence[bytes]) -> bool:
        """Whether values that fit the columns have codes in most columns of codes, as far as there are such columns."""
        num_codes, num_others = self._count_codes(values)
        return num_codes > num_others or not self.codes

    def must_be_row(self, values: Sequence[bytes]) -> bool:
        """Whether the values of the first columns have a code in some column of codes, and nothing else in any."""
        num_codes, num_others = self._count_codes(values)
        return num_codes > 0 and not num_others

    def begins_with_id(self, values: Sequence[bytes]) -> bool:
        """Whether the first of several values is a code, where codes are expected there."""
        return len(values) > 1 and 0 in self.codes and self._is_code(values[0], 0)

    def _count_codes(self, values: Sequence[bytes]) -> tuple[int, int]:
        """Values in columns of codes that are codes, and those that are neither codes nor empty."""
        there = [
            self._is_code(values[column], column)
            for column in self.codes
            if column < len(values) and values[column].strip(b' "')
        ]
        return sum(there), len(there) - sum(there)

    def _is_code(self, value: bytes, column: int) -> bool:
        value = value.strip(b' "')
        forms = self.codes[column]
        return _CODE.fullmatch(value) is not None and (_ANY in forms or _form(value) in forms)


def codes_of(rows: Sequence[Sequence[bytes]]) -> Mapping[int, frozenset[bytes]]:
    """The columns that hold hardly anything but codes, and their forms; all rows have as many values.

    Hardly anything else: in two of three values or more, as some rows may be broken ones.

    >>> codes_of([[b"B01-x", b"Oak Stool", b""], [b"B02-yz", b"Pan 10", b""]])
    {0: frozenset({b'A9-a'})}
    """
    codes = {}
    for column, values in enumerate(zip(*rows, strict=True)):
        there = [value.strip(b' "') for value in values if value.strip(b' "')]
        found = [value for value in there if _CODE.fullmatch(value)]
        if found and 3 * len(found) >= 2 * len(there):
            forms = frozenset(map(_form, found))
            codes[column] = forms if len(forms) <= _MOST_FORMS else frozenset({_ANY})
    return codes


def _form(code: bytes) -> bytes:
    return _RUNS.sub(lambda run: _RUN_FORMS[(run.lastindex or 1) - 1], code)
