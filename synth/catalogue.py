"""A catalogue of products that do not exist, in the format and with the dirt of `trn.json`.

It replaces the real catalogue, which may not be passed on, in demos, tests and benchmarks. `FILE.truth.json` beside the
file holds the numbers that a right preparation of it must count.
"""

import json
import os
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from pathlib import Path

from command.machine import count_cores
from command.settings import settings_of_result
from command.signals import holding_signals
from contract.errors import UserError
from synth.config import SynthConfig
from synth.rows import REJECTIONS, make_line

# About 3 MB of text. A chunk is a gzip member, so another number changes the bytes of compressed catalogues.
_CHUNK_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The bytes of consecutive lines, with the number of lines for each outcome and each defect."""

    data: bytes
    rows: int
    outcomes: Counter[str]
    defects: Counter[str]


def write_catalogue(
    config: SynthConfig,
    *,
    workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, object]:
    """Writes the catalogue and returns the truth about it, which `FILE.truth.json` holds, too.

    The bytes depend on the settings, not on the number of `workers` (processes; one for each core if not given). The
    file appears under its name when it is complete, and its truth after it. `on_progress` gets the number of lines
    written so far, every few thousand lines. Takes about 110 us a line and worker, and 40 MB a worker. UserError for an
    output that is no local file.
    """
    path = _checked_path(config.output)
    workers = count_cores() if workers is None else workers
    truth_path = path.with_name(path.name + ".truth.json")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    rows, outcomes, defects = 0, Counter[str](), Counter[str]()
    try:
        with partial.open("wb") as file:
            for chunk in _chunks(config, compressed=path.suffix == ".gz", workers=workers):
                file.write(chunk.data)
                rows += chunk.rows
                outcomes += chunk.outcomes
                defects += chunk.defects
                if on_progress:
                    on_progress(rows)
        truth = {
            "rows_in": rows,
            "rejected": {reason: outcomes[reason] for reason in REJECTIONS},
            "kept": outcomes["kept"],
            "defects": dict(sorted(defects.items())),
            "config": settings_of_result(config),
        }
        truth_path.unlink(missing_ok=True)  # an old truth must never lie beside a new file
        partial.replace(path)
        partial.write_text(json.dumps(truth, indent=2) + "\n", encoding="ascii")
        partial.replace(truth_path)
    finally:
        partial.unlink(missing_ok=True)
    return truth


def _checked_path(output: str) -> Path:
    path = Path(output)
    if "://" in output or path.is_dir():
        raise UserError(f"output = {output!r}, expected a local file such as catalogue.json or catalogue.json.gz")
    if path.suffix in (".zst", ".bz2"):
        raise UserError(f"output = {output!r}, expected a name that ends in .json or .json.gz: only gzip is supported")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _chunks(config: SynthConfig, *, compressed: bool, workers: int) -> Iterator[_Chunk]:
    """All chunks in order. At most two for each worker exist at a time, so memory does not grow with the rows."""
    starts = range(0, config.rows, _CHUNK_ROWS)
    workers = min(workers, len(starts))
    if workers == 1:
        yield from (_make_chunk(config, start, compressed) for start in starts)
        return
    pending: deque[Future[_Chunk]] = deque()
    resource_tracker.ensure_running()  # otherwise the first worker starts it, which unblocks the signals held below
    # Spawned, not forked: the caller may have threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for start in starts:
            if len(pending) == 2 * workers:
                yield pending.popleft().result()
            with holding_signals():  # a worker that is hit by a signal while it starts prints a traceback
                pending.append(pool.submit(_make_chunk, config, start, compressed))
        while pending:
            yield pending.popleft().result()


def _make_chunk(config: SynthConfig, start: int, compressed: bool) -> _Chunk:
    lines = [make_line(config, index) for index in range(start, min(start + _CHUNK_ROWS, config.rows))]
    data = b"".join(line.data for line in lines)
    if compressed:
        gzip = zlib.compressobj(wbits=31)  # with a gzip header, whose time is zero
        data = gzip.compress(data) + gzip.flush()
    outcomes = Counter(line.outcome for line in lines)
    defects = Counter(defect for line in lines for defect in line.defects)
    return _Chunk(data, len(lines), outcomes, defects)
