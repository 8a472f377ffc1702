"""Requests enter and leave the batch between two steps; nobody waits for an answer that will not come."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest

from contract.errors import UserError
from trainer.generation.request import Event
from trainer.serving.engine import Engine, EngineStoppedError, FullError, Ticket

LATE = 20.0


@dataclass
class CountingSlots:
    """Answers that are the numbers from 1 on; a request is how many."""

    num_slots: int
    step_allowed: threading.Semaphore | None = None
    rows: dict[int, list[int]] = field(default_factory=dict)
    most_rows: int = 0
    numbers: count = field(default_factory=count)

    @property
    def num_free(self) -> int:
        return self.num_slots - len(self.rows)

    def add(self, request: int) -> int:
        if request > 1_000_000:
            raise UserError("too long")
        assert self.num_free
        handle = next(self.numbers)
        self.rows[handle] = [request, 0]
        return handle

    def cancel(self, handle: int) -> None:
        del self.rows[handle]

    def step(self) -> Sequence[tuple[int, Event]]:
        if self.step_allowed:
            self.step_allowed.acquire(timeout=LATE)
        self.most_rows = max(self.most_rows, len(self.rows))
        events = []
        for handle, row in list(self.rows.items()):
            row[1] += 1
            if row[0] < 0:
                raise ZeroDivisionError
            events.append((handle, Event(text=f"{row[1]} ", finish_reason="stop" if row[1] == row[0] else None)))
            if row[1] == row[0]:
                del self.rows[handle]
        return events


async def texts(ticket: Ticket) -> list[str]:
    found = [""] * len(ticket.jobs)
    async for index, event in ticket.events(deadline=asyncio.get_running_loop().time() + LATE, pause=LATE):
        found[index] += event.text
    return found


def numbers(num: int) -> str:
    return "".join(f"{number} " for number in range(1, num + 1))


async def started(slots: CountingSlots, *, most_waiting: int) -> Engine:
    engine = Engine(slots, most_waiting=most_waiting)
    engine.start(asyncio.get_running_loop())
    return engine


@pytest.mark.parametrize("num_slots", [1, 2, 5])
@pytest.mark.parametrize("num_requests", [1, 2, 7, 40])
def test_every_request_gets_its_own_answer(num_slots: int, num_requests: int) -> None:
    async def run() -> None:
        slots = CountingSlots(num_slots)
        engine = await started(slots, most_waiting=100)
        tickets = [engine.submit([1 + number % 5, 3]) for number in range(num_requests)]
        found = await asyncio.gather(*map(texts, tickets))
        assert found == [[numbers(1 + number % 5), numbers(3)] for number in range(num_requests)]
        assert slots.most_rows <= num_slots
        assert engine.load() == (0, 0)
        engine.close()
        engine.join(LATE)

    asyncio.run(run())


def test_a_request_too_many_is_refused_whole() -> None:
    async def run() -> None:
        slots = CountingSlots(2, step_allowed=threading.Semaphore(0))
        engine = await started(slots, most_waiting=3)
        first = engine.submit([1, 1, 1, 1])
        with pytest.raises(FullError):
            engine.submit([1, 1])
        second = engine.submit([1])
        slots.step_allowed.release(100)
        assert await texts(first) == ["1 "] * 4
        assert await texts(second) == ["1 "]
        engine.close()

    asyncio.run(run())


def test_who_leaves_frees_the_slot_and_who_waits_gets_it() -> None:
    async def run() -> None:
        slots = CountingSlots(1, step_allowed=threading.Semaphore(0))
        engine = await started(slots, most_waiting=3)
        endless, waiting, other = engine.submit([10**6]), engine.submit([10**6]), engine.submit([2])
        slots.step_allowed.release(3)
        await anext(endless.events(deadline=asyncio.get_running_loop().time() + LATE, pause=LATE))
        engine.cancel(waiting)
        engine.cancel(endless)
        engine.cancel(endless)
        slots.step_allowed.release(100)
        assert await texts(other) == ["1 2 "]
        assert engine.load() == (0, 0)
        engine.cancel(other)  # has ended
        engine.close()

    asyncio.run(run())


def test_after_close_what_runs_is_finished_and_nothing_begins() -> None:
    async def run() -> None:
        slots = CountingSlots(1, step_allowed=threading.Semaphore(0))
        engine = await started(slots, most_waiting=3)
        tickets = [engine.submit([3]), engine.submit([4])]
        engine.close()
        with pytest.raises(EngineStoppedError):
            engine.submit([1])
        slots.step_allowed.release(100)
        assert [await texts(each) for each in tickets] == [[numbers(3)], [numbers(4)]]
        engine.join(LATE)

    asyncio.run(run())


@dataclass
class SlotsBetween(CountingSlots):
    """Calls a function while a slot is being freed: between the moment at which a request leaves, and the next look."""

    meanwhile: Callable[[], None] = lambda: None

    def cancel(self, handle: int) -> None:
        super().cancel(handle)
        self.meanwhile()


def test_what_comes_while_the_last_one_leaves_is_answered_although_the_engine_closes_then() -> None:
    async def run() -> None:
        slots = SlotsBetween(1, step_allowed=threading.Semaphore(1))
        engine = await started(slots, most_waiting=3)
        tickets: list[Ticket] = []

        def submit_and_close() -> None:
            tickets.append(engine.submit([2]))
            engine.close()

        slots.meanwhile = submit_and_close
        endless = engine.submit([10**6])
        await anext(endless.events(deadline=asyncio.get_running_loop().time() + LATE, pause=LATE))
        engine.cancel(endless)
        slots.step_allowed.release(100)
        engine.join(LATE)
        assert [await texts(each) for each in tickets] == [[numbers(2)]]
        assert engine.load() == (0, 0)

    asyncio.run(run())


def test_a_failure_reaches_all_who_wait_and_all_who_come_later() -> None:
    async def run() -> None:
        engine = await started(CountingSlots(1), most_waiting=3)
        tickets = [engine.submit([-1]), engine.submit([1])]
        for each in tickets:
            with pytest.raises(EngineStoppedError):
                await texts(each)
        assert isinstance(engine.failure, ZeroDivisionError)
        with pytest.raises(EngineStoppedError):
            engine.submit([1])

    asyncio.run(run())


def test_a_request_that_never_fits_is_refused_alone() -> None:
    async def run() -> None:
        engine = await started(CountingSlots(2), most_waiting=3)
        too_long, other = engine.submit([10**7]), engine.submit([2])
        with pytest.raises(UserError, match="too long"):
            await texts(too_long)
        assert await texts(other) == ["1 2 "]
        assert engine.failure is None
        engine.close()

    asyncio.run(run())


def test_a_pause_and_the_deadline_are_noticed() -> None:
    async def run() -> None:
        slots = CountingSlots(1, step_allowed=threading.Semaphore(0))
        engine = await started(slots, most_waiting=0)
        ticket = engine.submit([1])
        events = ticket.events(deadline=asyncio.get_running_loop().time() + 0.25, pause=0.1)
        assert [await anext(events), await anext(events)] == [None, None]
        with pytest.raises(TimeoutError):
            await anext(events)
        slots.step_allowed.release(100)
        engine.close()

    asyncio.run(run())
