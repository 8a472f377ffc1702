"""The values of rows become fields: those of sound rows by Arrow's parser, which cannot stumble over them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from contract.columns import RAW_PREFIX_BYTES
from contract.reasons import REASON_CODE
from spark_jobs.input.delimited.header import Header
from spark_jobs.input.delimited.judge import Judge, Verdict
from spark_jobs.input.delimited.scanner import Rows
from spark_jobs.input.encodings import guess_encoding
from spark_jobs.input.fields import Fields, ReadOptions, fields_of_texts, joined

_BATCH_ROWS: Final = 4_096


class Table:
    """Parses rows of one file."""

    def __init__(self, header: Header, judge: Judge, options: ReadOptions) -> None:
        self._dialect = header.dialect
        self._shape = header.shape
        self._judge = judge
        self._max_row_bytes = options.max_line_bytes
        self._columns = [header.columns(name) for name in options.names]  # of each field
        self._used = sorted({column for columns in self._columns for column in columns})

    def fields(self, rows: Rows, numbers: np.ndarray) -> Iterator[Fields]:
        """The fields of these rows: of sound ones, then of repaired ones, then of rejected ones."""
        verdicts = self._with_odd_rows(rows)
        is_sound = _is_without(verdicts, rows)
        try:
            table = self._parse(_pieces(rows, is_sound))
        except pa.ArrowInvalid:  # a row has too many or too few values
            verdicts = self._with_misfits(rows, verdicts)
            is_sound = _is_without(verdicts, rows)
            table = self._parse(_pieces(rows, is_sound))
        yield from self._fields_of(table, rows, np.flatnonzero(is_sound), numbers)

        judged = {row: verdicts[int(rows.starts[row])] for row in np.flatnonzero(~is_sound).tolist()}
        repaired = [row for row, verdict in judged.items() if verdict.values is not None]
        table = self._parse([self._line_of(judged[row].values or []) for row in repaired])
        notes = _notes_of([judged[row] for row in repaired])
        yield from self._fields_of(table, rows, np.array(repaired, np.int64), numbers, notes=notes)

        rejected = [row for row, verdict in judged.items() if verdict.values is None]
        if rejected:
            raws = [_raw(rows, row) for row in rejected]
            yield _rejected([judged[row] for row in rejected], raws, numbers=numbers[rejected])

    def _with_odd_rows(self, rows: Rows) -> Mapping[int, Verdict]:
        """Verdicts by where rows begin, those on sound rows included that Arrow's parser would not read as they are."""
        is_odd = rows.ends - rows.starts - 1 > self._max_row_bytes
        if self._dialect.escape:
            is_odd |= _holds(rows, self._dialect.escape * 2)
        return self._judged(rows, is_odd, rows.verdicts)

    def _with_misfits(self, rows: Rows, verdicts: Mapping[int, Verdict]) -> Mapping[int, Verdict]:
        """The verdicts, and those on sound rows that do not fit the columns."""
        is_misfit = rows.marks.num_values(rows.starts, rows.ends) != self._shape.num_columns
        return self._judged(rows, is_misfit, verdicts)

    def _judged(self, rows: Rows, is_odd: np.ndarray, verdicts: Mapping[int, Verdict]) -> Mapping[int, Verdict]:
        starts = [start for start in rows.starts[is_odd].tolist() if start not in verdicts]
        found = {start: self._judge.judge(rows.data, start, is_last=True) for start in starts}
        return {**verdicts, **{start: verdict for start, verdict in found.items() if verdict}}

    def _line_of(self, values: Sequence[bytes]) -> bytes:
        """The row as a sound line, with nothing in columns that are not used."""
        quote = self._dialect.quote or b""
        used = [value if column in self._used else b"" for column, value in enumerate(values)]
        marked = [quote + value.replace(quote, quote * 2) + quote for value in used] if quote else used
        return self._dialect.delimiter.join(marked) + b"\n"

    def _fields_of(
        self,
        table: pa.Table,
        rows: Rows,
        chosen: np.ndarray,
        numbers: np.ndarray,
        *,
        notes: Mapping[str, int] | None = None,
    ) -> Iterator[Fields]:
        """The fields of the chosen rows, whose values are in the table; `numbers` are those of all rows."""
        assert table.num_rows == len(chosen), "Arrow finds other rows"
        for start in range(0, len(chosen), _BATCH_ROWS):
            some = table.slice(start, _BATCH_ROWS)
            uids, titles, contents = (self._texts(some, columns) for columns in self._columns)
            own = chosen[start : start + _BATCH_ROWS]
            fields = fields_of_texts(uids, titles, contents, offsets=numbers[own], max_bytes=self._max_row_bytes)
            if fields.raws.null_count < len(own):
                raws = [
                    None if is_read else _raw(rows, row)
                    for row, is_read in zip(own, fields.raws.is_null().to_pylist(), strict=True)
                ]
                fields = fields._replace(raws=pa.array(raws, pa.binary()))
            is_strange = fields.reasons == REASON_CODE["not_utf8"]
            guesses = _guesses(uids, titles, contents, is_strange=is_strange) if is_strange.any() else {}
            yield fields._replace(notes=Counter(notes or {}) + Counter(guesses))
            notes = None

    def _parse(self, lines: Sequence[bytes | memoryview]) -> pa.Table:
        """The columns that are used, as bytes. ArrowInvalid where a row has too many or too few values."""
        data = lines[0] if len(lines) == 1 else b"".join(lines)
        names = [str(number) for number in range(self._shape.num_columns)]
        used = [names[column] for column in self._used]
        quote = self._dialect.quote
        if not data:  # which Arrow refuses
            return pa.table(dict.fromkeys(used, pa.array([], pa.binary())))
        return pcsv.read_csv(
            pa.BufferReader(data),
            read_options=pcsv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
            parse_options=pcsv.ParseOptions(
                delimiter=self._dialect.delimiter.decode(),
                quote_char=quote.decode() if quote else False,
                newlines_in_values=quote is not None,
            ),
            convert_options=pcsv.ConvertOptions(
                check_utf8=False,
                include_columns=used,
                column_types=dict.fromkeys(used, pa.binary()),
                strings_can_be_null=False,
            ),
        )

    def _texts(self, table: pa.Table, columns: Sequence[int]) -> pa.BinaryArray:
        """The texts of a field: of one column, of several joined by blanks, or nothing where there is no column."""
        if not columns:
            return pa.nulls(table.num_rows, pa.binary())
        texts = [table[str(column)].combine_chunks() for column in columns]
        if self._dialect.skips_blanks:
            texts = [pc.replace_substring_regex(text, r"^[ \t]+", "") for text in texts]
        return joined(texts)


def _is_without(verdicts: Mapping[int, Verdict], rows: Rows) -> np.ndarray:
    """Which rows have no verdict."""
    if not verdicts:
        return np.ones(len(rows.starts), bool)
    return ~np.isin(rows.starts, np.fromiter(verdicts, np.int64, len(verdicts)))


def _holds(rows: Rows, two: bytes) -> np.ndarray:
    """Which of the rows hold these two bytes."""
    is_there = np.zeros(len(rows.starts), bool)
    if two in rows.data:
        data = np.frombuffer(rows.data, np.uint8)
        places = np.flatnonzero((data[:-1] == two[0]) & (data[1:] == two[1]))
        found = np.searchsorted(rows.starts, places, side="right") - 1
        is_there[found[(found >= 0) & (places < rows.ends[found])]] = True
    return is_there


def _pieces(rows: Rows, is_sound: np.ndarray) -> list[memoryview]:
    """The bytes of the sound rows, as few pieces as possible."""
    starts, ends = rows.starts[is_sound], rows.ends[is_sound]
    if not len(starts):
        return []
    is_first = np.concatenate([[True], starts[1:] != ends[:-1]])
    is_last = np.concatenate([is_first[1:], [True]])
    data = memoryview(rows.data)
    return [data[start:end] for start, end in zip(starts[is_first].tolist(), ends[is_last].tolist(), strict=True)]


def _raw(rows: Rows, row: int) -> bytes:
    """The start of a row as it stands in the file."""
    start, end = int(rows.starts[row]), int(rows.ends[row])
    return rows.original[start : min(end, start + RAW_PREFIX_BYTES)].rstrip(b"\r\n")


def _rejected(verdicts: Sequence[Verdict], raws: Sequence[bytes], *, numbers: np.ndarray) -> Fields:
    nothing = pa.array([""] * len(verdicts), pa.string())
    return Fields(
        uids=nothing,
        titles=nothing,
        contents=nothing,
        reasons=np.array([REASON_CODE[verdict.reason] for verdict in verdicts], np.int8),
        offsets=numbers,
        raws=pa.array(raws, pa.binary()),
        notes=_notes_of(verdicts),
    )


def _notes_of(verdicts: Sequence[Verdict]) -> Mapping[str, int]:
    return Counter(verdict.doubt for verdict in verdicts if verdict.doubt)


def _guesses(*texts: pa.BinaryArray, is_strange: np.ndarray) -> Mapping[str, int]:
    """How many of these rows, which are not UTF-8, may be in another encoding, by its name."""
    rows = zip(*(column.filter(pa.array(is_strange)).to_pylist() for column in texts), strict=True)
    return Counter(guess for row in rows if (guess := guess_encoding(b" ".join(text or b"" for text in row))))
