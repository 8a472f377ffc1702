"""What is asked: titles with typos, titles that are not there, and the questions' right answers."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from bench.lookup.typos import KINDS, mistyped
from contract.columns import SPLITS, TITLE
from contract.manifest import read_manifest
from contract.storage import join
from contract.text.clean import clean_array
from contract.text.profiles import find_profile

ABSENT: Final = "not in the catalogue"


@dataclass(frozen=True)
class Question:
    """A cleaned title that is looked up."""

    text: str
    title: str | None  # the right one; None where the catalogue has none
    kind: str


def titles_of(data: str) -> list[str]:
    """The distinct titles of a local data set, sorted."""
    manifest = read_manifest(data)
    shards = (shard for split in SPLITS for shard in manifest.splits[split])
    tables = [pq.read_table(join(data, shard.path), columns=[TITLE])[TITLE] for shard in shards]
    return sorted(pa.chunked_array([chunk for table in tables for chunk in table.chunks]).unique().to_pylist())


def typed(titles: Sequence[str], known: set[str], *, profile: str, num: int, draw: random.Random) -> list[Question]:
    """As many typos of each kind, each in another title; none that makes another title of the catalogue."""
    kinds, found = list(KINDS), list[Question]()
    for title in draw.sample(titles, len(titles)):
        if len(found) == num:
            break
        kind = kinds[len(found) % len(kinds)]
        text = mistyped(title, kind, draw)
        if text and (text := _cleaned([text], profile)[0]) and text not in known:
            found.append(Question(text, title, kind))
    return found


def absent(path: Path, known: set[str], *, profile: str, num: int, draw: random.Random) -> list[Question]:
    """Cleaned titles of a raw catalogue that the data set does not hold."""
    lines = (line for line in path.read_text(errors="replace").splitlines() if line.endswith("}"))
    raw = [record["title"] for record in map(json.loads, lines) if isinstance(record.get("title"), str)]
    titles = sorted({title for title in _cleaned(raw, profile) if title and title not in known})
    return [Question(title, None, ABSENT) for title in draw.sample(titles, min(num, len(titles)))]


def _cleaned(titles: Iterable[str], profile: str) -> list[str]:
    cleaned: list[str] = clean_array(pa.array(list(titles), pa.string()), find_profile(profile)).to_pylist()
    return cleaned
