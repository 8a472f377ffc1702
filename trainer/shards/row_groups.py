"""Row groups of published shards, read ahead in the background and checked."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, TypeVar

import pyarrow as pa

from contract.errors import UserError
from contract.manifest import Shard
from trainer.plan.data_sets import DataSet
from trainer.plan.order import Unit
from trainer.shards.cache import Cache
from trainer.shards.files import DamagedShardError, ShardFile, damaged, open_shard
from trainer.shards.footer import BROKEN, Group, Layout, read_group, read_layout
from trainer.shards.retries import describe, is_awaited

__all__ = ["DamagedShardError", "RowGroups"]

_NUM_THREADS: Final = 8  # that read at the same time: enough to hide the latency of an object store
_AHEAD_BYTES: Final = 2**27  # announced and not yet taken, estimated; what goes beyond is read when it is asked for
_EXPANSION: Final = 3  # bytes in memory for one in the shard, about
_MAX_OPEN: Final = 128  # shards: more than lanes read at a time, also of several data sets

Answer = TypeVar("Answer")


@dataclass
class RowGroups:
    """The row groups of these data sets, for one consumer. To be closed: it reads ahead in threads."""

    data: Sequence[DataSet]
    cache: Cache | None = None
    _open: "OrderedDict[tuple[int, int], _OpenShard]" = field(default_factory=OrderedDict, init=False)
    _ahead: dict[Unit, Future[pa.Table]] = field(default_factory=dict, init=False)
    _ahead_bytes: int = field(default=0, init=False)
    _announced: deque[tuple[Unit, Future[pa.Table]]] = field(default_factory=deque, init=False)
    _threads: set[threading.Thread] = field(default_factory=set, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    def announce(self, unit: Unit) -> None:
        """Begins to read a unit, which will be asked for soon, if memory allows; does not wait."""
        num_bytes = self._estimate(unit)
        if unit in self._ahead or self._ahead_bytes + num_bytes > _AHEAD_BYTES:
            return
        self._ahead[unit] = Future()
        self._ahead_bytes += num_bytes
        with self._lock:
            self._announced.append((unit, self._ahead[unit]))
            if len(self._threads) < _NUM_THREADS:
                # No daemon, even if the consumer is one: it may be inside Arrow when the interpreter exits.
                thread = threading.Thread(target=self._read_announced, name="row-groups", daemon=False)
                self._threads.add(thread)
                thread.start()

    def read(self, unit: Unit) -> pa.Table:
        """Titles and contents of a unit's rows, in stored order.

        DamagedShardError where they are not what was written; UserError where the storage cannot be reached.
        """
        if (future := self._ahead.pop(unit, None)) is None:
            return self._read(unit)
        self._ahead_bytes -= self._estimate(unit)
        return self._read(unit) if future.cancel() else future.result()

    def close(self) -> None:
        """Ends the threads, and gives back what they have read."""
        self._stop.set()
        for thread in list(self._threads):
            thread.join()
        self._ahead.clear()
        self._open.clear()

    def _read_announced(self) -> None:
        """Work of a thread, which ends where there is no more: no idle thread keeps the interpreter from its exit."""
        while True:
            with self._lock:
                if not self._announced or not is_awaited(self._stop):
                    self._threads.discard(threading.current_thread())
                    return
                unit, future = self._announced.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._read(unit))
                except BaseException as error:  # noqa: BLE001  # handed to whoever reads the unit, whatever it is
                    future.set_exception(error)

    def _read(self, unit: Unit) -> pa.Table:
        shard = self._shard(unit)
        stop = unit.first + unit.rows
        groups = [group for group in shard.groups() if group.first < stop and group.first + group.rows > unit.first]
        table = pa.concat_tables(shard.read(group) for group in groups)
        return table.slice(unit.first - groups[0].first, unit.rows)

    def _shard(self, unit: Unit) -> "_OpenShard":
        """The open shard of a unit; the one that was not read for longest is closed where there are too many."""
        key = unit.source, unit.shard
        with self._lock:
            if key not in self._open:
                data_set = self.data[unit.source]
                self._open[key] = _OpenShard(data_set.root, self._entry(unit), self.cache, self._stop)
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
    """A shard whose footer is read once, by whichever thread comes first. What holds it open ends with it."""

    def __init__(self, root: str, shard: Shard, cache: Cache | None, stop: threading.Event) -> None:
        self._root = root
        self._shard = shard
        self._cache = cache
        self._stop = stop
        self._lock = threading.Lock()
        self._opened: tuple[ShardFile, Layout] | DamagedShardError | None = None

    def groups(self) -> tuple[Group, ...]:
        """Its row groups, without their rows."""
        return self._open()[1].groups

    def read(self, group: Group) -> pa.Table:
        """The rows of one; DamagedShardError where they are damaged."""
        file, layout = self._open()
        return self._checked(
            lambda: read_group(file.read(group.start, group.stop), layout, group), f"row group {group.number}"
        )

    def _open(self) -> tuple[ShardFile, Layout]:
        """DamagedShardError, and then always the same, where it cannot be opened."""
        with self._lock:
            if self._opened is None:
                try:
                    file = self._file()
                    self._opened = file, self._checked(lambda: read_layout(file.read, self._shard), "the footer")
                except DamagedShardError as error:
                    self._opened = error
        if isinstance(self._opened, DamagedShardError):
            raise self._opened
        return self._opened

    def _file(self) -> ShardFile:
        source = open_shard(self._root, self._shard, stop=self._stop)
        if self._cache is None:
            return source
        return self._cache.open(self._shard, source.read, stop=self._stop) or source

    def _checked(self, read: Callable[[], Answer], what: str) -> Answer:
        """What was read and checked. Bytes that are wrong are read once more: they may have been damaged on the way."""
        try:
            try:
                return read()
            except (UserError, MemoryError):
                raise
            except BROKEN:
                return read()
        except (UserError, MemoryError):
            raise
        except BROKEN as error:
            found = f"{what} with {describe(error)!r}"
            raise damaged(self._shard, found=found, expected="the bytes that were written") from error
