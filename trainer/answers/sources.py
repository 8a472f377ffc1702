"""The catalogue's texts beside answers: their sources, as JSON and for a person."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from command.terminal import cut, printable
from contract import storage
from contract.errors import UserError
from trainer.config import parse_data
from trainer.lookup.catalogue import Catalogue, Found, Source, open_catalogue
from trainer.lookup.support import supported_spans
from trainer.runs.settings import settings_of_run

_SHOWN: Final = 3  # records of one title that are printed; --json has more
_SHOWN_COLUMNS: Final = 600
_UNDERLINE, _PLAIN = "\x1b[4m", "\x1b[24m"
_HOW: Final = "--ground DATA names the data, --no-sources leaves sources out"


def open_sources(run: Path, ground: Sequence[str] | None) -> Catalogue | None:
    """The data that is given, or that of the run; None, which is printed, where the run's is not at hand.

    Data of the run in an object store is not asked for by itself: an answer should not wait for a network.
    """
    if ground:
        return open_catalogue(ground)
    data = settings_of_run(run).get("data", [])
    away = [root for root, _ in map(parse_data, data) if "://" in root]
    try:
        if away:
            raise UserError(f"the run's data is in an object store ({away[0]})")
        return open_catalogue(data)
    except UserError as error:
        print(f"answers have no sources: {error}; {_HOW}", file=sys.stderr)
        return None


def as_json(found: Found | None, answer: str) -> dict[str, Any]:
    """The sources of an answer, each with the spans of the answer, in characters, that its text supports."""
    if found is None:
        return {"in_catalogue": None, "sources": [], "nearest": []}
    return {
        "in_catalogue": bool(found.sources),
        "exact": found.is_exact,
        "num_sources": found.num_records,
        "sources": [asdict(each) | {"supported": supported_spans(answer, each.text)} for each in found.sources],
        "nearest": [each.title for each in found.nearest],
    }


def as_lines(found: Found, answer: str, *, marks: bool) -> list[str]:
    """The sources of an answer for a person; with `marks`, the words that the best one supports are underlined."""
    if not found.sources:
        nearest = "; ".join(printable(each.title) for each in found.nearest)
        return ["not in the catalogue", *[f"nearest titles: {nearest}"] * bool(nearest)]
    spans = [supported_spans(answer, each.text) for each in found.sources]
    num_marked = [_num_words(answer, each) for each in spans]
    best = max(range(len(spans)), key=num_marked.__getitem__)
    shown = [best, *(number for number in range(len(spans)) if number != best)][:_SHOWN]
    lines = []
    for number in shown:
        lines += _record_lines(found.sources[number], is_exact=found.is_exact)
    if (num_more := found.num_records - len(shown)) > 0:
        lines.append(f"and {num_more:,} more records of this title")
    lines.append(f"supported: {num_marked[best]} of {len(answer.split())} words of the answer")
    if marks and num_marked[best] > 0:
        lines.append(_underlined(answer, spans[best]))
    return lines


def _record_lines(source: Source, *, is_exact: bool) -> list[str]:
    place = f"{storage.join(source.data, source.shard)}, row {source.row}"
    title = "" if is_exact else f" {printable(source.title)},"
    text = cut(printable(source.text), _SHOWN_COLUMNS)
    return [f"source:{title} uid {printable(source.uid)}, {printable(place)}", f"  {text}"]


def _num_words(answer: str, spans: Sequence[tuple[int, int]]) -> int:
    """The words of the answer that begin in one of the spans."""
    starts, place = [], 0
    for word in answer.split():
        place = answer.index(word, place)
        starts.append(place)
        place += len(word)
    return sum(any(first <= start < stop for first, stop in spans) for start in starts)


def _underlined(answer: str, spans: Sequence[tuple[int, int]]) -> str:
    text, place = "", 0
    for first, stop in spans:
        text += f"{printable(answer[place:first])}{_UNDERLINE}{printable(answer[first:stop])}{_PLAIN}"
        place = stop
    return text + printable(answer[place:])
