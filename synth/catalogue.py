"""`vitrine synth`: a catalogue of products that do not exist, in the format and with the dirt of `trn.json`.

It stands in for the real data set wherever that may not go: demos, tests, benchmarks. Beside the file lies
`FILE.truth.json`, what a preparation of it must count.
"""

import json
import os
import signal
import threading
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context, resource_tracker
from pathlib import Path
from signal import SIGINT, SIGTERM

from command.machine import count_cores
from synth.plan import SynthConfig
from synth.rows import make_line

REASONS = ("not_json", "not_a_record", "no_title", "no_content", "duplicate")  # the first that holds is given

# Part of the format where it is compressed: a chunk is a gzip member. About 3 MB of text.
_CHUNK_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some lines in a row, as they go to the file, and how many of them have which outcome and which defect."""

    data: bytes
    rows: int
    outcomes: Counter[str]
    defects: Counter[str]


def write_catalogue(
    output: str,
    config: SynthConfig,
    *,
    workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, object]:
    """The truth about the catalogue just written to `output`; `output.truth.json` holds the same.

    The file is compressed if its name ends in `.gz`. Equal configurations give equal bytes, whatever the number of
    `workers` (processes; as many as processors if not given). The file appears under its name when it is complete,
    and its truth after it. `on_progress` is told the number of lines written so far, every few thousand lines.
    About 110 us a line and worker, and 40 MB a worker. Raises ValueError for an output that is no local file.
    """
    path = _checked_path(output)
    workers = _checked_workers(workers)
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
            "rejected": {reason: outcomes[reason] for reason in REASONS},
            "kept": outcomes["kept"],
            "defects": dict(sorted(defects.items())),
            "config": asdict(config),
        }
        truth_path.unlink(missing_ok=True)  # never an old truth beside a new file
        partial.replace(path)
        partial.write_text(json.dumps(truth, indent=2) + "\n", encoding="ascii")
        partial.replace(truth_path)
    finally:
        partial.unlink(missing_ok=True)
    return truth


def _checked_path(output: str) -> Path:
    path = Path(output)
    if "://" in output or path.is_dir():
        raise ValueError(f"output is {output!r}, expected a local file such as catalogue.json or catalogue.json.gz")
    if path.suffix in (".zst", ".bz2"):
        raise ValueError(f"output is {output!r}, and only .gz is compressed here; name it .json or .json.gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _checked_workers(workers: int | None) -> int:
    if workers is None:
        return count_cores()
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected 1 or more")
    return workers


def _chunks(config: SynthConfig, *, compressed: bool, workers: int) -> Iterator[_Chunk]:
    """All chunks in their order. At most two a worker are under way or waiting, so memory stays flat."""
    starts = range(0, config.rows, _CHUNK_ROWS)
    workers = min(workers, len(starts))
    if workers == 1:
        yield from (_make_chunk(config, start, compressed) for start in starts)
        return
    pending: deque[Future[_Chunk]] = deque()
    resource_tracker.ensure_running()  # or the first process would start it, and that lets blocked signals through
    # Spawned, not forked: the caller may hold threads, and this is how it works on every system.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for start in starts:
            if len(pending) == 2 * workers:
                yield pending.popleft().result()
            with _signals_held():  # one that hits a process as it starts is told by that one, too
                pending.append(pool.submit(_make_chunk, config, start, compressed))
        while pending:
            yield pending.popleft().result()


@contextmanager
def _signals_held() -> Iterator[None]:
    """What stops us waits for the end of the body. Processes that are started meanwhile leave Ctrl-C to this one."""
    if threading.current_thread() is not threading.main_thread():  # the only one that handles signals
        yield
        return
    held: list[int] = []
    # Held by a handler, too: another thread, one of numpy's for instance, takes what this one has blocked.
    before = {each: signal.signal(each, lambda number, _: held.append(number)) for each in (SIGINT, SIGTERM)}
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


def _make_chunk(config: SynthConfig, start: int, compressed: bool) -> _Chunk:
    lines = [make_line(config, index) for index in range(start, min(start + _CHUNK_ROWS, config.rows))]
    data = b"".join(line.data for line in lines)
    if compressed:
        gzip = zlib.compressobj(wbits=31)  # with a gzip header, whose time is zero
        data = gzip.compress(data) + gzip.flush()
    outcomes = Counter(line.outcome for line in lines)
    defects = Counter(defect for line in lines for defect in line.defects)
    return _Chunk(data, len(lines), outcomes, defects)
