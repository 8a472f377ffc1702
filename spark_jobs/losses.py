"""What is said where many lines are rejected, and when a preparation ends for it."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

from contract.errors import UserError
from contract.manifest import Source
from contract.reasons import REASONS
from spark_jobs.counts.records import ReadStatistics
from spark_jobs.input.fields import ReadOptions
from spark_jobs.input.formats import kind_of
from spark_jobs.input.readers import delimiter_of, field_names_of, problems_of
from spark_jobs.input.records.names import advice_on_names, advice_on_objects
from spark_jobs.steps import Job

UNREADABLE: Final = tuple(name for name, reason in REASONS.items() if not reason.is_parsed)
_WITHOUT_TEXT: Final = ("no_title", "no_content")
LOUD_SHARE: Final = 0.5  # of the lines, or of those of a file
_TABLES: Final = ("CSV", "Parquet")
_MOST_FILES: Final = 3  # named
_MOST_RECORDS: Final = 2_000  # of each file that are looked at for objects
_MOST_LOOKED_AT: Final = 1_000  # files, where one cannot be read
_MOST_PROBLEMS: Final = 5  # told


def require_records(job: Job, reasons: Counter[str], *, num_kept: int, read: ReadStatistics) -> None:
    """UserError where no line holds a record, or more lines than `max_unreadable` allows cannot be read.

    Prints a warning where one reason takes more than half of the lines, for files of which no record is kept or hardly
    a line can be read, and where titles or descriptions are objects.
    """
    lost = Counter({name: count for name, count in reasons.items() if not REASONS[name].is_duplicate})
    counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common() if count)
    if not num_kept and lost.total() == sum(reasons.values()):
        raise UserError(
            f"nothing to train on in {job.config.input}: {sum(reasons.values())} line(s) read, none kept, rejected:"
            f" {counts}; {_advice(job, lost, read)}"
        )
    unreadable = Counter({name: lost[name] for name in UNREADABLE})
    share, limit = unreadable.total() / read.num_lines, job.config.max_unreadable
    files = _unreadable_files(job, read)
    if share > limit:
        raise UserError(
            f"{unreadable.total():,} of {read.num_lines:,} lines of {job.config.input} cannot be read ({counts})"
            f"{'; ' + files if files else ''}; {_advice(job, unreadable, read)}; or go on without these lines:"
            f" --max-unreadable {min(1.0, share + 0.01):.2f}"
        )
    if files:
        print(f"warning: {files}", file=sys.stderr)
    for warning in (_useless_files(job, read), _objects(job, read)):
        if warning:
            print(f"warning: {warning}", file=sys.stderr)
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
    return f"most lines cannot be read of {len(found)} file(s): {_some(found)}"


def _useless_files(job: Job, read: ReadStatistics) -> str:
    """The files whose lines can be read but give no record, where others do; in words, or nothing."""
    found = [
        source
        for source, lines in read.of_sources.items()
        if lines.num and not lines.num_kept and lines.num_unreadable <= LOUD_SHARE * lines.num
    ]
    if not found or len(found) == len(read.of_sources):
        return ""
    shown = _some([f"{job.sources[source].path} ({read.of_sources[source].num:,} lines)" for source in found])
    options = job.config.read_options()
    names = field_names_of(job.sources[found[0]], options=options)
    advice = f"; of the first, {advice_on_names(names, **options.names._asdict())}" if names else ""
    return f"no record is kept of {len(found)} file(s): {shown}{advice}"


def _objects(job: Job, read: ReadStatistics) -> str:
    """How to read titles and descriptions that are objects, where there are any; in words, or nothing."""
    count = read.notes.get("object_text", 0)
    if not count:
        return ""
    options, lines = job.config.read_options(), read.of_sources
    likely = sorted(lines, key=lambda source: -lines[source].num_unreadable)[:_MOST_FILES]
    found = [
        name for source in likely for name in field_names_of(job.sources[source], options=options, most=_MOST_RECORDS)
    ]
    advice = advice_on_objects(list(dict.fromkeys(found)), title=options.names.title, content=options.names.content)
    return f"{count:,} line(s) have an object as title or description; {advice or 'name a field of it, as in name.en'}"


def _some(found: Sequence[str]) -> str:
    more = f" and {len(found) - _MOST_FILES} more" if len(found) > _MOST_FILES else ""
    return f"{', '.join(found[:_MOST_FILES])}{more}"


def all_problems(error: UserError, job_sources: Sequence[Source], options: ReadOptions) -> UserError:
    """The error of one input file, and what is wrong with others as well: so that they can be put right at once."""
    if not any(source.path in str(error) for source in job_sources):
        return error
    problems = list(dict.fromkeys([str(error), *problems_of(job_sources[:_MOST_LOOKED_AT], options=options)]))
    if len(problems) == 1:
        return error
    more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
    return UserError(f"{len(problems)} files cannot be read: {'; '.join(problems[:_MOST_PROBLEMS])}{more}")


def _advice(job: Job, reasons: Counter[str], read: ReadStatistics) -> str:
    """What may help against the most frequent reason; the fields that there are, where texts are missing."""
    reason = max(reasons, key=reasons.__getitem__)
    if reason == "not_a_record" and (objects := _objects(job, read)):
        return objects
    if reason == "not_json" and (delimiter := delimiter_of(_largest(job), options=job.config.read_options())):
        suffix = ".tsv" if delimiter == "\t" else ".csv"
        return (
            f"it looks like a table with {delimiter!r} between the values: rename it so that its name ends in {suffix}"
        )
    if reason in _WITHOUT_TEXT:
        options = job.config.read_options()
        if names := field_names_of(_largest(job), options=options):
            return advice_on_names(names, **options.names._asdict())
    return _advice_on(job, reason)


def _largest(job: Job) -> Source:
    return max(job.sources, key=lambda source: source.bytes)


def _advice_on(job: Job, reason: str) -> str:
    """What may help against this reason, in words that fit the formats of all files."""
    are_tables = all(kind_of(source).format.name in _TABLES for source in job.sources)
    return (are_tables and REASONS[reason].advice_on_tables) or REASONS[reason].advice
