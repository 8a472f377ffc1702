"""The start of a delimited file: its dialect, the names of its columns, and where its rows begin."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from contract.errors import UserError
from spark_jobs.input.delimited.dialect import Dialect, in_one_form
from spark_jobs.input.delimited.grammar import Grammar, Row
from spark_jobs.input.delimited.judge import Judge
from spark_jobs.input.delimited.scanner import Rows, Scanner
from spark_jobs.input.delimited.shape import Shape, codes_of
from spark_jobs.input.encodings import guess_encoding
from spark_jobs.input.fields import NO_MARK, ReadOptions, columns_of, is_utf8, plain_name, require_columns

SAMPLE_BYTES: Final = 2**20
_SAMPLE_ROWS: Final = 500  # whose values are looked at
_DELIMITERS: Final = (b",", b";", b"\t", b"|")
_ESCAPE: Final = b"\\"
_DOUBLED: Final = re.compile(rb'[^\\"\s,;|]""')  # within a value: whoever doubles marks does not escape them
_SEPARATOR_LINE: Final = re.compile(rb'"?sep=([^\w"\r\n])"?\r?(?:\n|\r)', re.IGNORECASE)  # the first line, of Excel
_FIRST_LINE_END: Final = re.compile(rb'(?>(?:"[^"]*"|[^"\r\n])*)(\r\n|\n|\r)')  # not within quotation marks
_PRODUCT: Final = re.compile(r"^\d+$|^\S*\d{3}|[.!?]$|\S{3}.{60}")  # an id, a code, a sentence: hardly a column's name
_MARK: Final = b"\xef\xbb\xbf"
_NO_HEADER: Final = (
    "; if its first row is a product already, name the columns by --columns, as in --columns id,name,description"
)

_SINGLE_QUOTES: Final = '; its names stand in single quotation marks: --quote "\'" reads what is between them'


@dataclass(frozen=True)
class Header:
    """What the start of a file says of the rest."""

    dialect: Dialect
    shape: Shape
    names: tuple[str, ...]  # of the columns
    length: int  # bytes before the first row

    def columns(self, name: str) -> list[int]:
        """The numbers of the columns that a setting names: of one, or of several with commas between."""
        return columns_of(name, self.names)


def read_header(sample: bytes, *, path: str, options: ReadOptions, is_whole: bool) -> Header:
    """The header of a file that begins with these SAMPLE_BYTES, or that they are the whole of.

    UserError where a column that is needed is not there, or is there twice.
    """
    skipped = len(_MARK) if sample.startswith(_MARK) else 0
    given = _SEPARATOR_LINE.match(sample, skipped)
    skipped = given.end() if given else skipped
    skipped += len(sample[skipped:]) - len(sample[skipped:].lstrip(b"\r\n"))
    lines = _whole_lines(sample[skipped:], is_whole=is_whole)
    if not lines and is_whole:
        raise UserError(f"{path} is empty, or holds only line ends; expected the names of its columns")
    if not lines:
        raise UserError(
            f"{path} has no line end in its first {SAMPLE_BYTES:,} bytes, expected the names of its columns"
        )
    delimiters = (given.group(1),) if given else _DELIMITERS
    headers = [_header_of(lines, dialect, options) for dialect in _dialects(lines, delimiters, options)]
    header = max(headers, key=lambda header: _num_expected(header, options))
    header = max(_variants(lines, header, options), key=lambda variant: _num_sound(lines, variant, options))
    _require_columns(header, lines, path=path, options=options)
    rows = _sound_rows(lines, header, options)[:_SAMPLE_ROWS]
    _require_no_single_quotes(header, rows, path=path, options=options)
    return replace(header, shape=replace(header.shape, codes=codes_of(rows)), length=skipped + header.length)


def _whole_lines(sample: bytes, *, is_whole: bool) -> bytes:
    if is_whole:
        return sample if sample.endswith((b"\n", b"\r")) or not sample else sample + b"\n"
    return sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r", 0, len(sample) - 1)) + 1]


def _dialects(lines: bytes, delimiters: Sequence[bytes], options: ReadOptions) -> Iterator[Dialect]:
    """The dialect for each delimiter, as the user and the first line end have it."""
    first_end = _FIRST_LINE_END.match(lines)
    ends_by_return = first_end is not None and first_end.group(1) == b"\r"
    escape = _mark_of(options.escape)
    for delimiter in delimiters:
        quote = _mark_of(options.quote or (NO_MARK if delimiter == b"\t" else '"'))
        yield Dialect(delimiter, quote, escape=None if escape == quote else escape, ends_by_return=ends_by_return)


def _mark_of(option: str | None) -> bytes | None:
    return None if option in (None, NO_MARK) else str(option).encode()


def _variants(lines: bytes, header: Header, options: ReadOptions) -> Iterator[Header]:
    """The header, and what it may be as well where something in the file speaks for that; the likeliest first."""
    dialect = header.dialect
    yield header
    if not dialect.quote:
        return
    is_escaped = options.escape is None and _ESCAPE + dialect.quote in lines and not _DOUBLED.search(lines)
    has_blanks = dialect.delimiter + b" " + dialect.quote in lines
    for escape in (dialect.escape, _ESCAPE) if is_escaped else (dialect.escape,):
        for skips_blanks in (False, True) if has_blanks else (False,):
            yield _header_of(lines, replace(dialect, escape=escape, skips_blanks=skips_blanks), options)


def _header_of(lines: bytes, dialect: Dialect, options: ReadOptions) -> Header:
    """The names in the first row; of the first line, if that row is none."""
    lines = in_one_form(lines, dialect)
    grammar = Grammar(dialect)
    row = grammar.row_at(lines, 0, stop=len(lines))
    if not isinstance(row, Row):
        end = lines.find(b"\n") + 1
        row = Row(grammar.plain_values(lines[:end]), end)
    names, length = tuple(plain_name(value.decode(errors="replace")) for value in row.values), row.end
    if options.columns is not None:
        names, length = tuple(plain_name(name) for name in options.columns), 0
    num_named = max((number for number, name in enumerate(names, 1) if name), default=0)
    return Header(dialect, Shape(len(names), num_named), names, length)


def _num_expected(header: Header, options: ReadOptions) -> tuple[int, int]:
    return sum(bool(header.columns(name)) for name in options.names), len(header.names)


def _scan(lines: bytes, header: Header, options: ReadOptions) -> Rows:
    judge = Judge(Grammar(header.dialect), header.shape, max_row_bytes=options.max_line_bytes)
    rows, _ = Scanner(judge).scan(in_one_form(lines[header.length :], header.dialect), is_last=False)
    return rows


def _num_sound(lines: bytes, header: Header, options: ReadOptions) -> int:
    """Rows at the start of the file that fit the columns, with each quotation mark where it should be.

    Rows that do not are taken off. To count only these would praise what swallows all rows into one.
    """
    rows = _scan(lines, header, options)
    if not len(rows.starts):
        return 0
    misfits = rows.starts[rows.marks.num_values(rows.starts, rows.ends) != header.shape.num_columns].tolist()
    num_wrong = sum(verdict.values is None or verdict.doubt is not None for verdict in rows.verdicts.values())
    return len(rows.starts) - 2 * (len(set(misfits) - rows.verdicts.keys()) + num_wrong)


def _sound_rows(lines: bytes, header: Header, options: ReadOptions) -> list[list[bytes]]:
    rows = _scan(lines, header, options)
    grammar = Grammar(header.dialect)
    found = [
        grammar.row_at(rows.data, start, stop=end)
        for start, end in zip(rows.starts[:_SAMPLE_ROWS].tolist(), rows.ends[:_SAMPLE_ROWS].tolist(), strict=True)
        if start not in rows.verdicts
    ]
    return [row.values for row in found if isinstance(row, Row) and len(row.values) == header.shape.num_columns]


def _require_columns(header: Header, lines: bytes, *, path: str, options: ReadOptions) -> None:
    first_row = lines[: header.length]
    if options.encoding is None and not is_utf8(first_row):
        raise UserError(f"{path} is not UTF-8: {_advice_on_encoding(first_row, header.dialect.delimiter.decode())}")
    hint = _NO_HEADER if any(map(_PRODUCT.search, header.names)) else ""
    if any(len(name) > 1 and name[0] == name[-1] == "'" for name in header.names):
        hint = _SINGLE_QUOTES
    require_columns(options.names, header.names, path=path, hint=hint)


def _require_no_single_quotes(header: Header, rows: list[list[bytes]], *, path: str, options: ReadOptions) -> None:
    """UserError where the titles and descriptions of several rows all stand in single quotation marks, unless named."""
    columns = [*header.columns(options.names.title), *header.columns(options.names.content)]
    values = [value.strip() for row in rows for column in columns if (value := row[column])]
    is_quoted = [len(value) > 1 and value[:1] == value[-1:] == b"'" for value in values]
    if options.quote is None and len(values) > len(columns) and all(is_quoted):
        raise UserError(
            f'{path} has single quotation marks around all titles and descriptions: --quote "\'" reads what is between'
            " them, --quote '\"' keeps them"
        )


def _advice_on_encoding(first_row: bytes, delimiter: str) -> str:
    guess = guess_encoding(first_row)
    if not guess:
        return f"its first line is {first_row[:80]!r}; name the file's encoding by --encoding"
    names = ", ".join(map(repr, first_row.decode(guess).strip().split(delimiter)))
    return f"read as {guess}, it has the columns {names}; if these are right, add --encoding {guess}"
