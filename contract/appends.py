"""What the manifest says of lines that were added to a finished data set, and of the file that makes this possible."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import msgspec

from contract.shard import Count


class Append(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One addition. Its input files and its rows follow those of all before it."""

    sources: Count  # input files that it read
    lines: Count
    rows: dict[str, Count]  # that it added to each section


class StatisticsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The counts behind the data card, which an append adds its own to. The path holds the start of the sha256."""

    path: str
    bytes: Count
    sha256: str


def starts_of(appended: Sequence[Append], section: str, *, num_rows: int) -> tuple[int, ...]:
    """The numbers of the rows of a section at which the appended ones begin; keys ascend between them.

    >>> appends = [Append(1, 9, {"val": 4}), Append(1, 9, {}), Append(1, 9, {"val": 2})]
    >>> starts_of(appends, "val", num_rows=10)
    (4, 8)
    """
    added = [append.rows[section] for append in appended if append.rows.get(section)]
    return tuple(accumulate(added[:-1], initial=num_rows - sum(added))) if added else ()


def contradictions(
    appended: Sequence[Append], *, num_sources: int, num_lines: int, rows: Mapping[str, int]
) -> list[str]:
    """What the additions say they brought although the data set, with these rows by section, has no more than that."""
    said = [("input files", sum(append.sources for append in appended), num_sources)]
    said.append(("lines", sum(append.lines for append in appended), num_lines))
    said += [
        (f"rows of {name}", sum(append.rows.get(name, 0) for append in appended), num) for name, num in rows.items()
    ]
    return [f"{found} {name} appended, but there are only {there}" for name, found, there in said if found > there]
