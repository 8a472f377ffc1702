"""Delimited files made at random, the same ones for the same seed, and what a person sees in them."""

import csv
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

COLUMNS: Final = ("uid", "title", "content", "price", "note")
_WORDS: Final = (  # noqa: SIM905
    'oak steel mug Kettle café 茶 naïve boils fast, three legs. 12" wide "fine" it\'s a;b x|y c\\d \\" 10% <p> NULL'
).split(" ")
_JOINTS: Final = (*(" ",) * 9, ", ", "; ", " | ", "\n", "\r\n", "\t", '"', "", "  ")


@dataclass(frozen=True)
class MadeFile:
    """A file, and its rows as they were before some were broken."""

    data: bytes
    suffix: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    broken: frozenset[int] = frozenset()  # numbers of rows


def sound_file(seed: int) -> MadeFile:
    """A file without a fault, as Python's csv writes it."""
    return _made(random.Random(seed), broken_share=0.0)


def broken_file(seed: int, *, are_neighbours_broken: bool = False) -> MadeFile:
    """A file in which some rows are broken, each in itself: a person sees as many rows as before."""
    chance = random.Random(seed)
    share = chance.choice((0.03, 0.1, 0.2))
    return _made(chance, broken_share=share, are_neighbours_broken=are_neighbours_broken)


def _made(chance: random.Random, *, broken_share: float, are_neighbours_broken: bool = False) -> MadeFile:
    delimiter = chance.choice((",", ",", ";", "|", "\t"))
    columns = COLUMNS[: chance.choice((3, 4, 5))]
    columns = columns if chance.random() < 0.7 else tuple(chance.sample(columns, len(columns)))
    id_form = chance.choice(("B{:07d}", "sku-{}", "{}.0"))  # no word of a text looks like it, even alone in a line
    rows = []
    for number in range(chance.randrange(1, 30)):
        values = {
            "uid": id_form.format(number),
            "title": _text(chance, 4),
            "content": _text(chance, 25),
            "price": chance.choice(("", f"{chance.randrange(100)}.50", "9,90")),
            "note": chance.choice(("", "", _text(chance, 3))),
        }
        row = tuple(values[column] for column in columns)
        rows.append(tuple(" ".join(value.split()) for value in row) if delimiter == "\t" else row)
    chosen = {number for number in range(len(rows)) if chance.random() < broken_share}
    broken = frozenset(number for number in chosen if are_neighbours_broken or number - 1 not in chosen)
    for number in broken:  # a person may take the lines of a broken value for rows
        rows[number] = tuple(" ".join(value.splitlines()) for value in rows[number])
    write_row = _row_writer(chance, delimiter)
    lines = [write_row(row) for row in rows]
    for number in sorted(broken):
        lines[number] = _break(chance, lines[number], delimiter.encode())
    start = chance.choice((b"", b"", b"\xef\xbb\xbf")) + chance.choice((b"", b"", b"", f"sep={delimiter}\r\n".encode()))
    data = start + write_row(columns) + b"".join(lines)
    data = data.rstrip(b"\r\n") if chance.random() < 0.2 and rows else data
    return MadeFile(data, ".tsv" if delimiter == "\t" else ".csv", columns, rows, broken)


def _row_writer(chance: random.Random, delimiter: str) -> Callable[[tuple[str, ...]], bytes]:
    quoting = csv.QUOTE_NONE if delimiter == "\t" else chance.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    line_end = chance.choice(("\n", "\r\n"))

    def write(row: tuple[str, ...]) -> bytes:
        text = io.StringIO(newline="")
        form: dict[str, Any] = {"quotechar": None} if quoting == csv.QUOTE_NONE else {}
        csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting, **form).writerow(row)
        return text.getvalue().encode()

    return write


def _text(chance: random.Random, most: int) -> str:
    words = chance.choices(_WORDS, k=chance.randrange(1, most))
    return "".join(word + chance.choice(_JOINTS) for word in words).strip()


def _break(chance: random.Random, line: bytes, delimiter: bytes) -> bytes:
    """The row with a fault, and with its line end; it holds no new line."""
    row = line.rstrip(b"\r\n")
    line_end = line[len(row) :]
    while True:
        broken = chance.choice(_BREAKAGES)(chance, row, delimiter)
        if broken.strip(delimiter + b" \r\n\t"):
            return broken + line_end


def _open_value(chance: random.Random, row: bytes, delimiter: bytes) -> bytes:
    """A mark at the start of a value."""
    values = row.split(delimiter)
    at = chance.randrange(len(values))
    values[at] = b'"' + values[at]
    return delimiter.join(values)


def _drop_mark(chance: random.Random, row: bytes, _: bytes) -> bytes:
    return _without(row, chance.choice([at for at, byte in enumerate(row) if byte == ord('"')] or [len(row)]))


def _without(row: bytes, at: int) -> bytes:
    return row[:at] + row[at + 1 :]


def _add_mark(chance: random.Random, row: bytes, _: bytes) -> bytes:
    at = chance.randrange(len(row) + 1)
    return row[:at] + b'"' + row[at:]


def _add_delimiter(chance: random.Random, row: bytes, delimiter: bytes) -> bytes:
    at = chance.randrange(len(row) + 1)
    return row[:at] + delimiter + row[at:]


def _drop_byte(chance: random.Random, row: bytes, _: bytes) -> bytes:
    return _without(row, chance.choice([at for at, byte in enumerate(row) if byte not in b"\r\n"]))


def _cut(chance: random.Random, row: bytes, _: bytes) -> bytes:
    return row[: chance.randrange(1, len(row) + 1)].rstrip(b"\r\n")


def _add_byte(chance: random.Random, row: bytes, _: bytes) -> bytes:
    at = chance.randrange(len(row) + 1)
    return row[:at] + chance.choice((b"\xff", b"\xe9", b"\0", b"\\", b" ", b"'", b"\xc3")) + row[at:]


_BREAKAGES: Final = (_open_value, _open_value, _drop_mark, _add_mark, _add_delimiter, _drop_byte, _cut, _add_byte)
