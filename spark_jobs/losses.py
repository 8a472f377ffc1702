"""What is said where many lines are rejected, and when a preparation ends for it."""

import sys
from collections import Counter
from typing import Final

from contract.errors import UserError
from contract.reasons import REASONS
from spark_jobs.counts.records import ReadStatistics
from spark_jobs.input.formats import kind_of
from spark_jobs.input.readers import field_names_of
from spark_jobs.input.records.names import advice_on_names
from spark_jobs.steps import Job

UNREADABLE: Final = tuple(name for name, reason in REASONS.items() if not reason.is_parsed)
_WITHOUT_TEXT: Final = ("no_title", "no_content")
LOUD_SHARE: Final = 0.5  # of the lines, or of those of a file
_TABLES: Final = ("CSV", "Parquet")
_MOST_FILES: Final = 3  # named


def require_records(job: Job, reasons: Counter[str], *, num_kept: int, read: ReadStatistics) -> None:
    """UserError where no line holds a record, or more lines than `max_unreadable` allows cannot be read.

    Prints a warning where one reason takes more than half of the lines, and for files that hardly have a line that
    can be read.
    """
    lost = Counter({name: count for name, count in reasons.items() if not REASONS[name].is_duplicate})
    counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common() if count)
    if not num_kept and lost.total() == sum(reasons.values()):
        raise UserError(
            f"nothing to train on in {job.config.input}: {sum(reasons.values())} line(s) read, none kept, rejected:"
            f" {counts}; {_advice(job, lost)}"
        )
    unreadable = Counter({name: lost[name] for name in UNREADABLE})
    share, limit = unreadable.total() / read.num_lines, job.config.max_unreadable
    files = _unreadable_files(job, read)
    if share > limit:
        raise UserError(
            f"{unreadable.total():,} of {read.num_lines:,} lines of {job.config.input} cannot be read ({counts})"
            f"{'; ' + files if files else ''}; {_advice(job, unreadable)}; or go on without these lines:"
            f" --max-unreadable {min(1.0, share + 0.01):.2f}"
        )
    if files:
        print(f"warning: {files}", file=sys.stderr)
    for name, count in lost.items():
        if count > LOUD_SHARE * read.num_lines:
            print(
                f"warning: {count / read.num_lines:.0%} of the lines are rejected as {name} ({REASONS[name].meaning});"
                f" {_advice_on(job, name)}",
                file=sys.stderr,
            )


def _unreadable_files(job: Job, read: ReadStatistics) -> str:
    """The files of which most lines cannot be read, where there are others; in words, or nothing."""
    found = [
        f"{job.sources[source].path} ({lines.num_unreadable:,} of {lines.num:,})"
        for source, lines in read.of_sources.items()
        if lines.num_unreadable > LOUD_SHARE * lines.num
    ]
    if not found or len(job.sources) == 1:
        return ""
    more = f" and {len(found) - _MOST_FILES} more" if len(found) > _MOST_FILES else ""
    return f"most lines cannot be read of {len(found)} file(s): {', '.join(found[:_MOST_FILES])}{more}"


def _advice(job: Job, reasons: Counter[str]) -> str:
    """What may help against the most frequent reason; the fields that there are, where texts are missing."""
    reason = max(reasons, key=reasons.__getitem__)
    if reason in _WITHOUT_TEXT:
        options = job.config.read_options()
        largest = max(job.sources, key=lambda source: source.bytes)
        if names := field_names_of(largest, options=options):
            return advice_on_names(names, **options.names._asdict())
    return _advice_on(job, reason)


def _advice_on(job: Job, reason: str) -> str:
    """What may help against this reason, in words that fit the formats of all files."""
    are_tables = all(kind_of(source).format.name in _TABLES for source in job.sources)
    return (are_tables and REASONS[reason].advice_on_tables) or REASONS[reason].advice
