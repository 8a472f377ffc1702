"""What becomes of a row in which something is wrong, and where reading goes on behind it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spark_jobs.input.delimited.grammar import Fault, Grammar, Row

# An id, a price, a date, an address: one word with a digit in it.
_CODE: Final = re.compile(rb"\S*\d\S*")


@dataclass(frozen=True)
class Shape:
    """What is known of the rows of a file."""

    num_columns: int
    num_named: int  # columns up to the last one that has a name
    codes: tuple[int, ...] = ()  # columns that hold nothing but codes, as far as the start of the file shows

    def fitted(self, values: list[bytes]) -> list[bytes] | None:
        """A value for each column: without empty ones behind the last, with empty ones for columns without a name.

        None where there are more or fewer values than columns.
        """
        if len(values) > self.num_columns and not any(values[self.num_columns :]):
            return values[: self.num_columns]
        if self.num_named <= len(values) <= self.num_columns:
            return values + [b""] * (self.num_columns - len(values))
        return None

    def is_like_a_row(self, values: Sequence[bytes]) -> bool:
        """Whether there are codes where codes are expected, if there are such columns."""
        num_codes = sum(_CODE.fullmatch(values[column].strip()) is not None for column in self.codes)
        return 2 * num_codes > len(self.codes) or not self.codes


def code_columns(rows: Sequence[Sequence[bytes]]) -> tuple[int, ...]:
    """The columns that hold hardly anything but codes: two of three values or more, as some rows may be broken ones.

    All rows have as many values.

    >>> code_columns([[b"B01", b"Oak Stool", b""], [b"B02", b"Pan 10", b""]])
    (0,)
    """
    columns = [[value.strip() for value in values if value.strip()] for values in zip(*rows, strict=True)]
    num_codes = [sum(_CODE.fullmatch(value) is not None for value in values) for values in columns]
    return tuple(
        column
        for column, (values, num) in enumerate(zip(columns, num_codes, strict=True))
        if values and 3 * num >= 2 * len(values)
    )


@dataclass(frozen=True)
class Verdict:
    """What becomes of a row."""

    end: int  # where reading goes on
    values: list[bytes] | None = None  # None where the row is rejected
    reason: str = "not_a_record"  # where it is
    doubt: str | None = None  # name of a row in DOUBTS
    is_open: bool = False  # lines behind `end` may belong to this row: see `begins_row`


class Judge:
    """Judges rows of one file. None in place of an answer: the bytes that are there do not suffice."""

    def __init__(self, grammar: Grammar, shape: Shape, *, max_row_bytes: int) -> None:
        self.shape = shape
        self.dialect = grammar.dialect
        self.max_row_bytes = max_row_bytes
        self._grammar = grammar

    def judge(self, data: bytes, start: int, *, is_last: bool) -> Verdict | None:
        """The verdict on the row that begins at `start`."""
        stop = min(len(data), start + self.max_row_bytes + 1)
        line_end = data.find(b"\n", start, stop) + 1
        if not line_end and stop == len(data) and not is_last:
            return None
        if not line_end:
            return Verdict((data.find(b"\n", stop) + 1) or len(data), reason="too_long")
        row = self._grammar.row_at(data, start, stop=stop)
        if isinstance(row, Row):
            return self._judge_whole(data, start, row, line_end=line_end)
        if row is Fault.STRAY:
            return self._judge_stray(data, start, line_end=line_end, is_last=is_last)
        if stop == len(data) and not is_last:
            return None
        return Verdict(line_end, doubt="open_quote", is_open=True)

    def _judge_whole(self, data: bytes, start: int, row: Row, *, line_end: int) -> Verdict:
        values = self.shape.fitted(row.values)
        if row.end == line_end:
            return Verdict(row.end, values, doubt=self._doubt_of_misfit(row.values) if values is None else None)
        if values is None or self.is_several_rows(data[start : row.end]):
            return Verdict(line_end, doubt="open_quote", is_open=True)
        return Verdict(row.end, values)

    def _doubt_of_misfit(self, values: list[bytes]) -> str | None:
        has_marks = self.dialect.quote is None and any(value.startswith(b'"') for value in values)
        return "plain_quotes" if has_marks else None

    def _judge_stray(self, data: bytes, start: int, *, line_end: int, is_last: bool) -> Verdict | None:
        line = data[start:line_end]
        fitted = (self.shape.fitted(values) for values in self._grammar.readings(line))
        values = next((values for values in fitted if values is not None), None)
        if values is not None:
            # With an odd number of marks, a quoted value may as well go on in the next line.
            is_next_row = (
                line.count(self.dialect.quote or b"") % 2 == 0
                or (line_end == len(data) and is_last)
                or self.begins_row(data, line_end, is_last=is_last)
            )
            if is_next_row is None:
                return None
            if is_next_row:
                return Verdict(line_end, values, doubt="stray_quotes")
        return Verdict(line_end, doubt="open_quote", is_open=True)

    def begins_row(self, data: bytes, start: int, *, is_last: bool) -> bool | None:
        """Whether a row begins with this line, by its looks: it has as many values as there are columns."""
        stop = min(len(data), start + self.max_row_bytes + 1)
        line_end = data.find(b"\n", start, stop) + 1
        if not line_end:
            return None if stop == len(data) and not is_last else False
        plain = self.shape.fitted(self._grammar.plain_values(data[start:line_end]))
        if plain is not None and self.shape.is_like_a_row(plain):
            return True
        row = self._grammar.row_at(data, start, stop=stop)
        if row is Fault.CUT and stop == len(data) and not is_last:
            return None
        if not isinstance(row, Row):
            return False
        values = self.shape.fitted(row.values)
        return (
            values is not None and self.shape.is_like_a_row(values) and not self.is_several_rows(data[start : row.end])
        )

    def is_several_rows(self, lines: bytes) -> bool:
        """Whether the lines of one row look like rows themselves: then a quotation mark was left open by mistake."""
        if not self.shape.codes:
            return False
        rows = [self._grammar.plain_values(line) for line in lines.removesuffix(b"\n").split(b"\n")]
        if any(len(values) != self.shape.num_columns for values in (rows[0], rows[-1])):
            return False
        num_alike = sum(
            len(values) == self.shape.num_columns and self.shape.is_like_a_row(values) for values in rows[1:]
        )
        return 2 * num_alike >= len(rows) - 1
