"""The one wide shuffle, in whole Arrow batches: the pieces that a map task sends, and the bucket they make up.

A bucket is a range of keys, so buckets in order, each sorted, are the whole catalogue in the order of its keys.
Rows never pass through the JVM one by one; Spark moves, spills and retries compressed pieces of some 100 kB. Where all
tasks run on one machine, the rows stay in a file of the map task, as they are, and Spark moves only where they lie.
"""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.columns import CONTENT, KEY, OFFSET, REASON, SOURCE, UID
from contract.keys import key_words
from contract.reasons import REASON_CODE
from spark_jobs.counts.records import ReadStatistics, merge_read
from spark_jobs.rows import ROW_SCHEMA

FLUSH_BYTES: Final = 64 * 2**20  # a map task sends its rows when it holds this much

BUCKET: Final = "bucket"
STATISTICS: Final = "statistics"
ROWS: Final = "rows"
PLACE: Final = "place"

# One row is a piece: some rows of one bucket, or the statistics of a map task.
PIECE_SCHEMA: Final = pa.schema(
    [
        pa.field(BUCKET, pa.int32(), nullable=False),
        pa.field(STATISTICS, pa.binary(), nullable=False),  # ReadStatistics as JSON, or empty
        pa.field(ROWS, pa.binary(), nullable=False),  # an Arrow stream of ROW_SCHEMA, or empty
        pa.field(PLACE, pa.binary(), nullable=False),  # of such a stream in a file: a Place as JSON, or empty
    ]
)
PIECE_COLUMNS: Final = f"{BUCKET} int, {STATISTICS} binary, {ROWS} binary, {PLACE} binary"  # the same for Spark

_ORDER_COLUMNS: Final = (KEY, UID, SOURCE, OFFSET, REASON)
_ORDER: Final = [(name, "ascending") for name in _ORDER_COLUMNS]
_IPC_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4")


class Place(msgspec.Struct, frozen=True):
    """Where the rows of a piece lie."""

    path: str
    start: int
    num_bytes: int


def pieces_of_rows(
    batches: Iterable[tuple[pa.RecordBatch, ReadStatistics]],
    *,
    num_buckets: int,
    first_bucket: int,
    folder: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Pieces for the buckets, then the statistics to `first_bucket`: the shuffle delivers both exactly once.

    With a `folder`, which all tasks must share, the rows lie in files there.
    """
    cut = _cut if folder is None else partial(_cut_into_file, folder=folder)
    held: list[pa.RecordBatch] = []
    held_bytes = 0
    statistics: list[ReadStatistics] = []
    for batch, of_batch in batches:
        held.append(batch)
        held_bytes += batch.nbytes
        statistics.append(of_batch)
        if held_bytes >= FLUSH_BYTES:
            yield from _flush(held, num_buckets, cut)
            held, held_bytes = [], 0
            statistics = [merge_read(statistics)]
    if held:
        yield from _flush(held, num_buckets, cut)
    yield _piece(first_bucket, statistics=msgspec.json.encode(merge_read(statistics)))


def rows_of_pieces(pieces: Iterable[pa.RecordBatch]) -> tuple[pa.Table, ReadStatistics]:
    """All rows of one bucket, in no order, and the statistics that were sent to it."""
    tables, statistics = [ROW_SCHEMA.empty_table()], []
    for batch in pieces:
        for rows, place, sent in zip(batch[ROWS], batch[PLACE], batch[STATISTICS], strict=True):
            if len(buffer := rows.as_buffer()):
                tables.append(pa.ipc.open_stream(buffer).read_all())
            if len(buffer := place.as_buffer()):
                tables.append(_read(msgspec.json.decode(buffer, type=Place)))
            if len(buffer := sent.as_buffer()):
                statistics.append(msgspec.json.decode(buffer, type=ReadStatistics))
    return pa.concat_tables(tables).combine_chunks(), merge_read(statistics)


def sort_and_mark_duplicates(table: pa.Table) -> pa.Table:
    """Rows in order of (key, uid, source, offset); all but the first of a key become duplicates, without content.

    A table may be sorted in parts first: the first row of the whole is also the first of its part.
    """
    table = table.combine_chunks()
    order, reasons = order_and_reasons(table)
    table = table.take(pa.array(order))
    if np.array_equal(reasons, table[REASON].to_numpy()):
        return table
    contents = pc.if_else(pa.array(reasons == REASON_CODE["duplicate"]), "", table[CONTENT])
    return _with(table, {REASON: pa.array(reasons, pa.int8()), CONTENT: contents})


def order_and_reasons(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The order of the rows by (key, uid, source, offset), and their reasons in this order, duplicates included.

    All rows are sorted by the first half of the key, which nearly always decides; then the few rows whose first halves
    are equal are sorted among themselves.
    """
    words = key_words(table[KEY].combine_chunks())
    first_words = words[:, 0].astype(np.uint64)
    order = np.argsort(first_words)
    is_same = first_words[order[1:]] == first_words[order[:-1]]
    if is_same.any():
        is_tied = np.zeros(len(order), bool)
        is_tied[1:] |= is_same
        is_tied[:-1] |= is_same
        tied = pa.array(order[is_tied])
        in_order = pc.sort_indices(table.select(_ORDER_COLUMNS).take(tied), sort_keys=_ORDER)
        order[is_tied] = tied.take(in_order).to_numpy()
    reasons = table[REASON].to_numpy()[order]
    tied_rows = np.flatnonzero(is_same) + 1
    is_repeated = (words[order[tied_rows]] == words[order[tied_rows - 1]]).all(axis=1)
    reasons[tied_rows[is_repeated]] = REASON_CODE["duplicate"]
    return order, reasons


def _with(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), ROW_SCHEMA.field(name), values)
    return table


_Cut = Callable[[pa.Table, list[tuple[int, int, int]]], Iterator[pa.RecordBatch]]


def _flush(held: list[pa.RecordBatch], num_buckets: int, cut: _Cut) -> Iterator[pa.RecordBatch]:
    table = sort_and_mark_duplicates(pa.Table.from_batches(held))
    yield from cut(table, list(bounds_of(key_words(table[KEY].combine_chunks())[:, 0], num_buckets)))


def _cut(table: pa.Table, bounds: list[tuple[int, int, int]]) -> Iterator[pa.RecordBatch]:
    for bucket, first, end in bounds:
        yield _piece(bucket, rows=stream_of(table.slice(first, end - first)))


def _cut_into_file(table: pa.Table, bounds: list[tuple[int, int, int]], *, folder: str) -> Iterator[pa.RecordBatch]:
    """The pieces, whose rows lie in one new file: an attempt's own, so that retries do no harm."""
    path = os.path.join(folder, f"pieces-{uuid.uuid4().hex}.arrow")
    places = []
    with open(path, "wb") as file:
        for _, first, end in bounds:
            start = file.tell()
            with pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table.slice(first, end - first))
            places.append(Place(path, start, file.tell() - start))
    for (bucket, _, _), place in zip(bounds, places, strict=True):
        yield _piece(bucket, place=msgspec.json.encode(place))


def _read(place: Place) -> pa.Table:
    with pa.OSFile(place.path) as file:
        file.seek(place.start)
        return pa.ipc.open_stream(file.read_buffer(place.num_bytes)).read_all()


def bounds_of(words: np.ndarray, num_buckets: int) -> Iterator[tuple[int, int, int]]:
    """(bucket, first row, end) of each bucket that is not empty, from the first words of sorted keys."""
    buckets = bucket_of(words, num_buckets)
    cuts = np.searchsorted(buckets, np.arange(num_buckets + 1))
    for bucket in range(num_buckets):
        if cuts[bucket] < cuts[bucket + 1]:
            yield bucket, int(cuts[bucket]), int(cuts[bucket + 1])


def bucket_of(words: np.ndarray, num_buckets: int) -> np.ndarray:
    """The bucket of each key, from the key's first 64 bits: buckets are equal ranges of keys, in order.

    >>> bucket_of(np.array([0, 2**63 - 1, 2**63, 2**64 - 1], np.uint64), 2)
    array([0, 0, 1, 1])
    """
    return ((words >> np.uint64(32)).astype(np.int64) * num_buckets) >> 32


def stream_of(table: pa.Table) -> bytes:
    """The rows as a compressed Arrow stream, for one value of a binary column."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_IPC_OPTIONS) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _piece(bucket: int, *, statistics: bytes = b"", rows: bytes = b"", place: bytes = b"") -> pa.RecordBatch:
    values = [pa.array([bucket], pa.int32()), *(pa.array([each], pa.binary()) for each in (statistics, rows, place))]
    return pa.RecordBatch.from_arrays(values, schema=PIECE_SCHEMA)
