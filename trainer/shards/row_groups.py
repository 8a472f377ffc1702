"""Row groups of published shards, read ahead in the background and checked."""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

import pyarrow as pa

from contract.columns import CONTENT, KEY, TITLE
from contract.errors import first_line
from contract.shard import (
    NOT_A_SHARD,
    FilePart,
    Footer,
    RowGroup,
    Shard,
    digest_of,
    read_footer,
    read_row_group,
)
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Unit
from trainer.shards.cache import Cache
from trainer.shards.files import DamagedShardError, ShardFile, damaged, open_shard
from trainer.shards.retries import is_awaited

__all__ = ["DamagedShardError", "RowGroups"]

_NUM_THREADS: Final = 8  # reading at the same time: enough to hide the latency of an object store
_AHEAD_BYTES: Final = 2**27  # limit of units announced and not yet read, estimated; further ones are not read ahead
_EXPANSION: Final = 3  # bytes of a table in memory for a byte of its shard, about
_MAX_OPEN: Final = 128  # shards: more than all lanes read at a time, also with several data sets
_READ_TRIES: Final = 2  # of a part whose digest is wrong
_COLUMNS: Final = (TITLE, CONTENT, KEY)


class RowGroups:
    """The row groups of these data sets, for one consumer. It reads ahead in threads, which `close` ends."""

    def __init__(
        self, data: Sequence[DataSet], cache: Cache | None = None, *, columns: Sequence[str] = _COLUMNS
    ) -> None:
        self.data = data
        self._cache = cache
        self._columns = columns
        self._ahead: dict[Unit, Future[pa.Table]] = {}  # announced and not yet read; the consumer's alone
        self._stop = threading.Event()
        self._lock = threading.Lock()  # of all below
        self._announced: deque[tuple[Unit, Future[pa.Table]]] = deque()  # and not yet begun by a thread
        self._threads: set[threading.Thread] = set()
        self._open: OrderedDict[tuple[int, int], _OpenShard] = OrderedDict()  # least recently read first

    def announce(self, unit: Unit) -> None:
        """Begins to read a unit, which will be asked for soon, if memory allows; does not wait."""
        if unit in self._ahead or sum(map(self._estimate, (unit, *self._ahead))) > _AHEAD_BYTES:
            return
        self._ahead[unit] = Future()
        with self._lock:
            self._announced.append((unit, self._ahead[unit]))
            if len(self._threads) < _NUM_THREADS:
                # No daemon, even if the consumer is one: it may be inside Arrow when the interpreter exits.
                thread = threading.Thread(target=self._read_announced, name="row-groups", daemon=False)
                self._threads.add(thread)
                thread.start()

    def read(self, unit: Unit) -> pa.Table:
        """The columns of a unit's rows, in stored order; titles, contents and keys by default.

        DamagedShardError where the shard is damaged; UserError where the storage cannot be reached.
        """
        if (future := self._ahead.pop(unit, None)) is None:
            return self._read(unit)
        return self._read(unit) if future.cancel() else future.result()

    def close(self) -> None:
        """Ends the threads and frees the tables that they have read."""
        self._stop.set()
        for thread in list(self._threads):
            thread.join()
        self._ahead.clear()
        self._open.clear()

    def _read_announced(self) -> None:
        """Work of a thread. It ends when nothing is announced: an idle thread would hold up the interpreter's exit."""
        while True:
            with self._lock:
                if not self._announced or not is_awaited(self._stop):
                    self._threads.discard(threading.current_thread())
                    return
                unit, future = self._announced.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._read(unit))
                except BaseException as error:  # noqa: BLE001  # raised again by `read`
                    future.set_exception(error)

    def _read(self, unit: Unit) -> pa.Table:
        return self._shard(unit).read(first=unit.first, stop=unit.first + unit.rows, columns=self._columns)

    def _shard(self, unit: Unit) -> "_OpenShard":
        """The open shard of a unit. Of more than _MAX_OPEN, the one least recently read is closed."""
        key = unit.source, unit.shard
        with self._lock:
            if key not in self._open:
                data_set = self.data[unit.source]
                self._open[key] = _OpenShard(data_set.root, self._entry(unit), self._cache, self._stop)
            self._open.move_to_end(key)
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)
            return self._open[key]

    def _entry(self, unit: Unit) -> Shard:
        data_set = self.data[unit.source]
        return data_set.manifest.splits[data_set.split][unit.shard]

    def _estimate(self, unit: Unit) -> int:
        shard = self._entry(unit)
        return _EXPANSION * shard.bytes * unit.rows // shard.rows


class _OpenShard:
    """A shard whose footer is read once, by the first thread that needs it. This object keeps its cached copy."""

    def __init__(self, root: str, shard: Shard, cache: Cache | None, stop: threading.Event) -> None:
        self._root = root
        self._shard = shard
        self._cache = cache
        self._stop = stop
        self._lock = threading.Lock()
        self._opened: tuple[ShardFile, Footer] | DamagedShardError | None = None

    def read(self, *, first: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """Columns of these rows; DamagedShardError where a row group that holds them is damaged."""
        file, footer = self._open()
        row_groups = [group for group in footer.row_groups if group.first < stop and group.stop > first]
        table = pa.concat_tables(self._read_row_group(file, footer, group, columns) for group in row_groups)
        return table.slice(first - row_groups[0].first, stop - first)

    def _open(self) -> tuple[ShardFile, Footer]:
        """DamagedShardError, and then always the same, where it cannot be opened."""
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = self._open_file()
                except DamagedShardError as error:
                    self._opened = error
        if isinstance(self._opened, DamagedShardError):
            raise self._opened
        return self._opened

    def _open_file(self) -> tuple[ShardFile, Footer]:
        file: ShardFile = open_shard(self._root, self._shard, stop=self._stop)
        if self._cache is not None:
            file = self._cache.open(self._shard, file.read, stop=self._stop) or file
        data = self._read_part(file, self._shard.footer, "the footer")
        with self._damaged_if_not_a_shard():
            return file, read_footer(data, self._shard)

    def _read_row_group(self, file: ShardFile, footer: Footer, group: RowGroup, columns: Sequence[str]) -> pa.Table:
        data = self._read_part(file, group.part, f"row group {group.number}")
        with self._damaged_if_not_a_shard():
            return read_row_group(data, footer, group, columns=columns)

    def _read_part(self, file: ShardFile, part: FilePart, what: str) -> bytes:
        """The bytes of a part. Wrong bytes are read once more: they may have been damaged on the way."""
        for _ in range(_READ_TRIES):
            data = file.read(part.offset, part.stop)
            if part.has_digest_of(data):
                return data
        found = f"{what} with the digest {digest_of(data)}"
        raise damaged(self._shard, found=found, expected=f"{part.digest}, as in the manifest")

    @contextmanager
    def _damaged_if_not_a_shard(self) -> Iterator[None]:
        """DamagedShardError where the digests are right, but another program has written the shard."""
        try:
            yield
        except NOT_A_SHARD as error:
            raise damaged(self._shard, found=first_line(error), expected="a shard of this format") from error
