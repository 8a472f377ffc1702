"""What becomes of a row in which something is wrong, and where reading goes on behind it."""

from dataclasses import dataclass

from spark_jobs.input.delimited.grammar import Fault, Grammar, Row
from spark_jobs.input.delimited.shape import Shape


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
            is_open = self.dialect.quote is not None and data.count(self.dialect.quote, start, stop) % 2 == 1
            return Verdict((data.find(b"\n", stop) + 1) or len(data), reason="too_long", is_open=is_open)
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
            return Verdict(row.end, values) if values is not None else self._judge_misfit(data[start:line_end], row)
        if values is None or self.is_several_rows(data[start : row.end], row.values):
            return Verdict(line_end, doubt="open_quote", is_open=True)
        return Verdict(row.end, values)

    def _judge_misfit(self, line: bytes, row: Row) -> Verdict:
        """With an odd number of marks, one is missing, and a value may go on in the next line."""
        if self.dialect.quote is None:
            has_marks = any(value.startswith(b'"') for value in row.values)
            return Verdict(row.end, doubt="plain_quotes" if has_marks else None)
        if self.dialect.quote == b'"' and any(value.lstrip().startswith(b"'") for value in row.values):
            return Verdict(row.end, doubt="single_quotes")
        is_open = line.count(self.dialect.quote) % 2 == 1
        return Verdict(row.end, doubt="open_quote" if is_open else None, is_open=is_open)

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
        """Whether a row begins with this line, by its looks: an id, or as many values as there are columns."""
        stop = min(len(data), start + self.max_row_bytes + 1)
        line_end = data.find(b"\n", start, stop) + 1
        if not line_end:
            return None if stop == len(data) and not is_last else False
        plain = self._grammar.plain_values(data[start:line_end])
        fitted = self.shape.fitted(plain)
        if self.shape.begins_with_id(plain) or (fitted is not None and self.shape.can_be_row(fitted)):
            return True
        row = self._grammar.row_at(data, start, stop=stop)
        if row is Fault.CUT and stop == len(data) and not is_last:
            return None
        fitted = self.shape.fitted(row.values) if isinstance(row, Row) else None
        return (
            isinstance(row, Row)
            and fitted is not None
            and self.shape.can_be_row(fitted)
            and not self.is_several_rows(data[start : row.end], row.values)
        )

    def is_several_rows(self, lines: bytes, values: list[bytes]) -> bool:
        """Whether the lines of one row, of these values, are rows by their looks: a mark was left open by mistake.

        In the last line, columns behind the last value of several lines are the row's own, whatever was meant.
        """
        if not self.shape.codes:
            return False
        rows = [self._grammar.plain_values(line) for line in lines.removesuffix(b"\n").split(b"\n")]
        if any(len(values) != self.shape.num_columns for values in (rows[0], rows[-1])):
            return False
        rows[-1] = rows[-1][: 1 + max(column for column, value in enumerate(values) if b"\n" in value)]
        num_alike = sum(map(self.shape.must_be_row, rows[1:]))
        return 2 * num_alike >= len(rows) - 1
