"""Lines as a map task has them when they are counted, and the records that become of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from contract.columns import KEY_BYTES
from contract.keys import record_key
from contract.text.clean import clean_array
from spark_jobs.counts.records import KeptStatistics, ReadBatch, count_kept


class Line(NamedTuple):
    """A line that could be read, and where it stands."""

    offset: int
    uid: str
    title: str
    content: str


def batch_of(lines: Sequence[Line]) -> ReadBatch:
    """These lines of the first source. Arrays begin in the middle of longer ones, as those of a slice do."""
    titles, contents = [line.title for line in lines], [line.content for line in lines]
    clean_titles = clean_array(pa.array(titles, pa.string())).to_pylist()
    clean_contents = clean_array(pa.array(contents, pa.string())).to_pylist()
    cleaned = list(zip(clean_titles, clean_contents, strict=True))
    return ReadBatch(
        raw_titles=slice_of(titles),
        raw_contents=slice_of(contents),
        titles=slice_of(clean_titles),
        contents=slice_of(clean_contents),
        keys=slice_of([record_key(*texts) for texts in cleaned], pa.binary(KEY_BYTES)),
        uids=slice_of([line.uid for line in lines]),
        offsets=np.array([line.offset for line in lines], np.int64),
        is_kept=np.array([all(texts) for texts in cleaned], np.bool_),
        source=0,
    )


def slice_of(values: Sequence[str] | Sequence[bytes], kind: pa.DataType | None = None) -> pa.Array:
    """These values, with another before and after them in the same buffers."""
    kind = kind or pa.string()
    other = b"&amp;<b>&amp;<i>&"[:KEY_BYTES]
    return pa.array([other, *values, other], kind).slice(1, len(values))


def settled(batch: ReadBatch) -> tuple[list[tuple[bytes, str, str]], list[bytes]]:
    """(key, title, content) of each record that is kept, in order of the keys; the keys of their duplicates."""
    rows = zip(*(array.to_pylist() for array in (batch.keys, batch.titles, batch.contents)), strict=True)
    records, duplicates = {}, []
    for row, is_kept in zip(rows, batch.is_kept.tolist(), strict=True):
        if not is_kept:
            continue
        if row[0] in records:
            duplicates.append(row[0])
        records[row[0]] = row
    return sorted(records.values()), duplicates


def kept_of(
    records: Sequence[tuple[bytes, str, str]], duplicates: Sequence[bytes], *, one_in: int = 1, tokenizer: Any = None
) -> KeptStatistics:
    """Statistics of these records. `tokenizer` is of the package tokenizers, which not every test has."""
    return count_kept(
        titles=slice_of([title for _, title, _ in records]),
        contents=slice_of([content for _, _, content in records]),
        keys=slice_of([key for key, _, _ in records], pa.binary(KEY_BYTES)),
        duplicate_keys=slice_of(duplicates, pa.binary(KEY_BYTES)),
        one_in=one_in,
        tokenizer=tokenizer,
    )
