"""The one wide shuffle, in whole Arrow batches: what a map task sends to a bucket, what a reduce task makes of it.

A bucket is a range of keys, so buckets in order, each sorted, are the whole catalogue in the order of its keys.
Rows never pass through the JVM one by one; Spark moves, spills and retries compressed pieces of some 100 kB.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.columns import CONTENT, KEY, KEY_BYTES, UID
from spark_jobs.parse import REASON_CODE, ROW_SCHEMA

FLUSH_BYTES: Final = 64 * 2**20  # of rows that a map task holds before it sends them

# One row is some rows of one bucket, or the number of lines that a map task has read.
PIECE_SCHEMA: Final = pa.schema(
    [
        pa.field("bucket", pa.int32(), nullable=False),
        pa.field("num_lines", pa.int64(), nullable=False),
        pa.field("rows", pa.binary(), nullable=False),  # an Arrow stream of ROW_SCHEMA, sorted, or nothing
    ]
)

_ORDER: Final = [(name, "ascending") for name in (KEY, UID, "source", "offset")]
_IPC_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4")


def pieces_of_rows(
    batches: Iterable[pa.RecordBatch], *, num_buckets: int, first_bucket: int
) -> Iterator[pa.RecordBatch]:
    """Pieces for the buckets, then the number of rows to `first_bucket`: the shuffle delivers both exactly once."""
    held: list[pa.RecordBatch] = []
    held_bytes = num_lines = 0
    for batch in batches:
        held.append(batch)
        held_bytes += batch.nbytes
        num_lines += batch.num_rows
        if held_bytes >= FLUSH_BYTES:
            yield from _flush(held, num_buckets)
            held, held_bytes = [], 0
    if held:
        yield from _flush(held, num_buckets)
    yield _piece(first_bucket, num_lines=num_lines, rows=b"")


def rows_of_pieces(pieces: Iterable[pa.RecordBatch]) -> tuple[pa.Table, int]:
    """All rows of one bucket, settled, and the number of lines that were announced to it."""
    tables = []
    num_lines = 0
    for batch in pieces:
        num_lines += pc.sum(batch["num_lines"]).as_py() or 0
        for piece in batch["rows"]:
            if len(buffer := piece.as_buffer()):
                tables.append(pa.ipc.open_stream(buffer).read_all())
    return settle(pa.concat_tables(tables) if tables else ROW_SCHEMA.empty_table()), num_lines


def settle(table: pa.Table) -> pa.Table:
    """Rows in order of (key, uid, source, offset); all but the first of a key are duplicates, and lose their content.

    May be done to parts first and to the whole then: the first of the whole is the first of its part.
    """
    table = table.take(pc.sort_indices(table, sort_keys=_ORDER)).combine_chunks()
    is_repeated = np.zeros(table.num_rows, bool)
    words = _key_words(table)
    is_repeated[1:] = (words[1:] == words[:-1]).all(axis=1)
    if not is_repeated.any():
        return table
    reasons = np.where(is_repeated, REASON_CODE["duplicate"], table["reason"].to_numpy())
    contents = pc.if_else(pa.array(is_repeated), "", table[CONTENT])
    return _with(table, {"reason": pa.array(reasons, pa.int8()), CONTENT: contents})


def _with(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), ROW_SCHEMA.field(name), values)
    return table


def _key_words(table: pa.Table) -> np.ndarray:
    """Keys as [rows, 2] big-endian words."""
    keys = table[KEY].combine_chunks()
    start = keys.offset * KEY_BYTES
    return np.frombuffer(keys.buffers()[1], ">u8", count=2 * len(keys), offset=start).reshape(-1, 2)


def _flush(held: list[pa.RecordBatch], num_buckets: int) -> Iterator[pa.RecordBatch]:
    table = settle(pa.Table.from_batches(held))
    for bucket, first, end in _bounds(_key_words(table)[:, 0], num_buckets):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, ROW_SCHEMA, options=_IPC_OPTIONS) as writer:
            writer.write_table(table.slice(first, end - first))
        yield _piece(bucket, num_lines=0, rows=sink.getvalue().to_pybytes())


def _bounds(words: np.ndarray, num_buckets: int) -> Iterator[tuple[int, int, int]]:
    """(bucket, first row, end) of each bucket that sorted keys fall into, from the keys' first words."""
    buckets = bucket_of(words, num_buckets)
    cuts = np.searchsorted(buckets, np.arange(num_buckets + 1))
    for bucket in range(num_buckets):
        if cuts[bucket] < cuts[bucket + 1]:
            yield bucket, int(cuts[bucket]), int(cuts[bucket + 1])


def bucket_of(words: np.ndarray, num_buckets: int) -> np.ndarray:
    """Which of the equal ranges of keys a key's first 64 bits fall into; it never falls with the key.

    >>> bucket_of(np.array([0, 2**63 - 1, 2**63, 2**64 - 1], np.uint64), 2)
    array([0, 0, 1, 1])
    """
    return ((words >> np.uint64(32)).astype(np.int64) * num_buckets) >> 32


def _piece(bucket: int, *, num_lines: int, rows: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array([bucket], pa.int32()), pa.array([num_lines], pa.int64()), pa.array([rows], pa.binary())],
        schema=PIECE_SCHEMA,
    )
