"""The reasons for which a line is rejected: one row each, in order of precedence.

A new reason is a row here, a filter in spark_jobs/filters.py, its setting in spark_jobs/config.py, and its meaning in
Portuguese in spark_jobs/card/portuguese.toml.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Reason:
    """One reason, and what the data card, the command line and `vitrine verify` need to know of it."""

    name: str
    meaning: str  # for the data card
    advice: str = ""  # for a user of whose lines none is kept; empty where another record is always kept instead
    advice_on_tables: str = ""  # where all files are CSV or Parquet, if another one fits there
    is_parsed: bool = True  # whether fields were read from the line; if not, the start of its bytes is stored
    is_duplicate: bool = False  # of a record that is kept


_ONE_A_LINE: Final = "expected one JSON object a line, UTF-8, lines ended by \\n; convert the file"
_FIELDS: Final = "name the fields that hold titles and descriptions by --title-field and --content-field"
_FILTERS: Final = "loosen the filters"

# A line is rejected for the first reason that applies.
_ROWS: Final = (
    Reason(
        "too_long",
        meaning="longer than max_line_bytes",
        advice="raise --max-line-bytes, or end each object's line by \\n",
        advice_on_tables="raise --max-line-bytes",
        is_parsed=False,
    ),
    Reason(
        "not_utf8",
        meaning="not UTF-8, nor in the encoding that the file says or that was asked for",
        advice="name the file's encoding by --encoding, such as cp1252 for files of Windows and Excel",
        is_parsed=False,
    ),
    Reason("not_json", meaning="not JSON, or cut off", advice=_ONE_A_LINE, is_parsed=False),
    Reason(
        "not_a_record",
        meaning="in JSON no object with texts for title and content, in a table a row that does not fit the columns",
        advice=f"{_ONE_A_LINE}, and titles and descriptions must be texts",
        advice_on_tables="expected in each row as many values as there are columns; --quote and --escape say which"
        " marks stand around values and within them",
        is_parsed=False,
    ),
    Reason("no_title", meaning="nothing left of the title once cleaned", advice=_FIELDS),
    Reason("no_content", meaning="nothing left of the content once cleaned", advice=_FIELDS),
    Reason("title_length", meaning="title shorter or longer than asked for", advice=_FILTERS),
    Reason("content_length", meaning="content shorter or longer than asked for", advice=_FILTERS),
    Reason("repeats_title", meaning="content that merely repeats the title", advice=_FILTERS),
    Reason("repeated_phrase", meaning="content that says the same over and over", advice=_FILTERS),
    Reason("language", meaning="in none of the languages asked for", advice=_FILTERS),
    Reason("duplicate", meaning="same title and content, once cleaned, as a record that is kept", is_duplicate=True),
    Reason("near_duplicate", meaning="nearly the same title and content as a record that is kept", is_duplicate=True),
)

REASONS: Final = {reason.name: reason for reason in _ROWS}
REASON_NAMES: Final = tuple(REASONS)

# How rows carry a reason through the shuffle, as int8; no file holds these codes.
REASON_CODE: Final = {name: code for code, name in enumerate(REASON_NAMES)}
KEPT: Final = -1  # in place of a reason's code
