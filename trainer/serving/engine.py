"""One thread that owns the model: requests enter and leave its batch between two steps."""

import asyncio
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from contract.errors import UserError


class Event(Protocol):
    """What one step adds to an answer."""

    text: str
    finish_reason: str | None
    error: UserError | None  # what the request needs cannot be had: the last event, without an answer


class Slots(Protocol):
    """Answers that are computed together, one token each a step. Only the engine's thread uses it."""

    @property
    def num_free(self) -> int:
        """How many more requests can be added now."""

    def add(self, request: Any) -> Hashable:
        """Takes a slot for a request."""

    def cancel(self, handle: Any) -> None:
        """Frees the slot of a request that is not finished."""

    def step(self) -> Sequence[tuple[Any, Any]]:
        """Computes one token of each answer. A request whose event has a finish_reason has left its slot."""


class EngineStoppedError(Exception):
    """The engine takes no more requests, or has failed."""


class UnavailableError(Exception):
    """What this request needs, and others do not, cannot be had."""


class FullError(Exception):
    """All slots and the whole queue are taken."""


@dataclass(eq=False)
class Job:
    """One request on its way."""

    request: Any
    put: Callable[[Any], None]  # adds an event, or the exception that ends this request; only in the loop's thread
    handle: Hashable | None = None  # of its slot


class Ticket:
    """Requests that were submitted together. Their events belong to the loop that submitted them."""

    def __init__(self, requests: Sequence[Any]) -> None:
        self._events: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self.jobs = [Job(request, partial(self._put, index)) for index, request in enumerate(requests)]

    def _put(self, index: int, event: Any) -> None:
        self._events.put_nowait((index, event))

    async def events(self, *, deadline: float, pause: float) -> AsyncIterator[tuple[int, Any] | None]:
        """Each event with the index of its request, up to the last event of all; None after a pause of so many seconds.

        TimeoutError at the deadline, a time of the loop; EngineStoppedError where the engine fails; UserError for a
        request that is too long for the memory, UnavailableError for one whose part of the model cannot be loaded.
        """
        time, num_left = asyncio.get_running_loop().time, len(self.jobs)
        while num_left:
            ends = min(deadline, time() + pause)
            try:
                async with asyncio.timeout_at(ends):
                    index, event = await self._events.get()
            except TimeoutError:
                if time() >= deadline:
                    raise
                yield None
                continue
            if isinstance(event, Exception):
                raise event
            yield index, event
            num_left -= event.finish_reason is not None


class Engine:
    """Runs the batch until it is told to stop."""

    def __init__(self, slots: Slots, *, most_waiting: int) -> None:
        self._slots, self._most_waiting = slots, most_waiting
        self._num_slots = slots.num_free
        self._by_handle: dict[Hashable, Job] = {}  # only in the thread
        self._changed = threading.Condition()  # guards all that follows; never held while the model computes
        self._waiting: deque[Job] = deque()
        self._running: set[Job] = set()
        self._leaving: list[Job] = []
        self._is_closed = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the thread; events are put into the jobs by this loop."""
        self._loop = loop
        self._thread.start()

    def submit(self, requests: Sequence[Any]) -> Ticket:
        """All of these requests or none. FullError where there is no room, EngineStoppedError where it has stopped."""
        with self._changed:
            if self._is_closed or self.failure:
                raise EngineStoppedError
            num_taken = len(self._running) + len(self._waiting)
            if num_taken + len(requests) > self._num_slots + self._most_waiting:
                raise FullError
            ticket = Ticket(requests)
            self._waiting.extend(ticket.jobs)
            self._changed.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Lets requests go that nobody waits for any more, at the latest after a step; finished ones are no matter."""
        with self._changed:
            for job in ticket.jobs:
                if job in self._running:
                    self._leaving.append(job)
                elif job in self._waiting:
                    self._waiting.remove(job)
            self._changed.notify()

    def load(self) -> tuple[int, int]:
        """The number of requests in slots, and of those that wait."""
        with self._changed:
            return len(self._running), len(self._waiting)

    def close(self) -> None:
        """Takes no more requests, finishes those that it has, and ends the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def join(self, timeout: float) -> None:
        """Waits for the thread after `close`."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while True:
                leaving, entering = self._wait_for_work()
                for job in leaving:
                    if self._by_handle.pop(job.handle, None):
                        self._slots.cancel(job.handle)
                for job in entering:
                    self._add(job)
                if self._by_handle:
                    self._deliver(self._slots.step())
                elif self._is_done():
                    return
        except BaseException as error:  # noqa: BLE001  # whatever it is: nobody else would tell those who wait
            self._fail(error)

    def _add(self, job: Job) -> None:
        try:
            job.handle = self._slots.add(job.request)
            self._by_handle[job.handle] = job
        except UserError as error:  # it will never fit
            with self._changed:
                self._running.discard(job)
            self._put([(job, error)])

    def _wait_for_work(self) -> tuple[list[Job], list[Job]]:
        """The requests that leave their slots now, and those that get one."""
        with self._changed:
            while not (self._waiting or self._running or self._is_closed):
                self._changed.wait()
            leaving, self._leaving = self._leaving, []
            self._running.difference_update(leaving)
            num = min(len(self._waiting), self._num_slots - len(self._running))
            entering = [self._waiting.popleft() for _ in range(num)]
            self._running.update(entering)
        return leaving, entering

    def _is_done(self) -> bool:
        """Whether the thread may end. A request may have come since the last look, and the engine closed after it."""
        with self._changed:
            return self._is_closed and not (self._waiting or self._running)

    def _deliver(self, found: Sequence[tuple[Any, Any]]) -> None:
        events = [(self._by_handle[handle], event) for handle, event in found]
        finished = [job for job, event in events if event.finish_reason is not None]
        for job in finished:
            del self._by_handle[job.handle]
        with self._changed:
            self._running.difference_update(finished)
        for _, event in events:
            if event.error:
                print(f"no answer to a request: {event.error}", file=sys.stderr, flush=True)
        self._put([(job, UnavailableError() if event.error else event) for job, event in events])

    def _put(self, events: Sequence[tuple[Job, Any]]) -> None:
        """Hands events over to the loop, all those of a step at once."""
        assert self._loop is not None
        if events and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_put_all, events)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self.failure = error
            jobs = [*self._running, *self._waiting]
            self._running.clear()
            self._waiting.clear()
        self._put([(job, EngineStoppedError()) for job in jobs])


def _put_all(events: Sequence[tuple[Job, Any]]) -> None:
    for job, event in events:
        job.put(event)
