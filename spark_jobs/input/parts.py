"""The parts of the input files that tasks read."""

from collections.abc import Collection, Sequence
from typing import Final

from contract.manifest import Source
from spark_jobs.input.encodings import is_utf8_by_name
from spark_jobs.input.fields import Part, ReadOptions
from spark_jobs.input.formats import kind_of

MIN_RANGE_BYTES: Final = 2**20
MAX_RANGE_BYTES: Final = 32 * 2**20  # a task holds the cleaned records of its range
BLOCK_ROWS: Final = 2**15  # of a format that is cut by rows, in place of bytes
# Decompression gives about 1 GB/s, and a task cleans some 60 MB/s: with more tasks each would wait for its blocks.
MAX_TASKS_A_FILE: Final = 16
SMALL_BYTES: Final = 128 * 2**20  # of input without compression: one core cleans some 30 MB/s
_COMPRESSION_RATIO: Final = 4  # decompressed bytes for one compressed byte, about


def estimate_bytes(sources: Sequence[Source]) -> int:
    """The input's approximate size without compression."""
    kinds = [kind_of(source) for source in sources]
    return sum(
        source.bytes * (_COMPRESSION_RATIO if kind.compression or kind.format.is_compressed else 1)
        for source, kind in zip(sources, kinds, strict=True)
    )


def is_small(sources: Sequence[Source]) -> bool:
    """Whether these files are prepared in so few seconds that to start or load anything costs more than it saves."""
    return estimate_bytes(sources) <= SMALL_BYTES


def plan_parts(
    sources: Sequence[Source], *, parallelism: int, options: ReadOptions, documents: Collection[Source] = ()
) -> list[Part]:
    """Parts that cover everything in every file once.

    Files that can be read from the middle make about six parts or more for each of `parallelism` tasks. Any other file
    is read from its start by every task that shares it. So it is decompressed several times, but no line is parsed and
    cleaned twice, which costs far more. So are `documents`, which only their first bytes show to be no lines.
    """
    total = sum(source.bytes for source in sources)
    size = min(max(total // (6 * parallelism) + 1, MIN_RANGE_BYTES), MAX_RANGE_BYTES)
    whole = {source for source in sources if source in documents or not can_seek(source, options)}
    num_whole = sum(bool(source.bytes) for source in whole)
    parts = []
    for number, source in enumerate(sources):
        kind = kind_of(source)
        if not source.bytes:
            continue
        if source not in whole:
            parts += [Part(number, start, min(start + size, source.bytes)) for start in range(0, source.bytes, size)]
        else:
            # A line reaches into the next block, so the blocks of a task must lie further apart than a line is long.
            block = BLOCK_ROWS if kind.format.is_cut_by_rows else max(MAX_RANGE_BYTES, 2 * options.max_line_bytes)
            parts += _strided(number, block, count=min(-(-parallelism // num_whole), MAX_TASKS_A_FILE))
    return parts


def can_seek(source: Source, options: ReadOptions) -> bool:
    """Whether a task may begin in the middle of the file, as far as its name and the options say."""
    kind = kind_of(source)
    return kind.can_seek and (not kind.format.is_text or is_utf8_by_name(options.encoding))


def _strided(source: int, block: int, *, count: int) -> list[Part]:
    if count == 1:
        return [Part(source, 0, None)]
    return [Part(source, index * block, (index + 1) * block, every=count * block) for index in range(count)]
