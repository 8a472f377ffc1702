"""Reads the rows of a delimited file that belong to one task."""

from collections.abc import Iterator
from typing import IO

import numpy as np

from spark_jobs.input.delimited.grammar import Grammar
from spark_jobs.input.delimited.header import SAMPLE_BYTES, read_header
from spark_jobs.input.delimited.judge import Judge
from spark_jobs.input.delimited.scanner import Scanner, iter_rows
from spark_jobs.input.delimited.table import Table
from spark_jobs.input.fields import Fields, Part, ReadOptions


def read_delimited(file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]:
    """The rows of this part, by their numbers. A row that does not fit the columns is not_a_record.

    Every task that shares a file finds all of its rows, which is cheap, and parses its own blocks of rows.
    """
    sample = _read(file, SAMPLE_BYTES)
    header = read_header(sample, path=path, options=options, is_whole=len(sample) < SAMPLE_BYTES)
    judge = Judge(Grammar(header.dialect), header.shape, max_row_bytes=options.max_line_bytes)
    table = Table(header, judge, options)
    first_row = 0
    for rows in iter_rows(file, Scanner(judge), start=sample[header.length :]):
        numbers = first_row + np.arange(len(rows.starts))
        first_row += len(numbers)
        is_mine = _is_in(numbers, part)
        if is_mine.any():
            own = rows._replace(starts=rows.starts[is_mine], ends=rows.ends[is_mine])
            yield from table.fields(own, numbers[is_mine])


def _read(file: IO[bytes], size: int) -> bytes:
    """So many bytes; fewer only at the end of the file."""
    data = b""
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def _is_in(rows: np.ndarray, part: Part) -> np.ndarray:
    """Which of these row numbers belong to the part."""
    if part.end is None or part.every is None:
        return np.ones(len(rows), bool)
    return (rows - part.start) % part.every < part.end - part.start
