"""Complete answers of any number of requests, by a batch whose slots stay full."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from trainer.generation.batch import Batch
from trainer.generation.request import Event, Finished, Request

# Each time that requests join costs a forward pass over their prompts, so a few of them wait for each other.
_JOIN_TOGETHER: Final = 8


def generate(batch: Batch, requests: Sequence[Request]) -> list[Finished]:
    """The answers in the order of their requests. The batch must be idle."""
    answers = dict(as_finished(batch, requests))
    return [answers[number] for number in range(len(requests))]


def as_finished(batch: Batch, requests: Sequence[Request]) -> Iterator[tuple[int, Finished]]:
    """Each answer as soon as it ends, with the number of its request. The batch must be idle.

    Requests of one adapter join one after the other, long ones first: so few adapters are in use at the same time, and
    prompts that join together need little padding.
    """
    assert batch.is_idle
    order = deque(sorted(range(len(requests)), key=lambda number: _place(requests[number]), reverse=True))
    numbers: dict[int, int] = {}
    events: dict[int, list[Event]] = {}
    together = max(1, batch.num_slots // _JOIN_TOGETHER)
    try:
        while order or not batch.is_idle:
            if batch.num_free >= min(together, len(order)):
                for _ in range(min(batch.num_free, len(order))):
                    number = order.popleft()
                    numbers[batch.add(requests[number])] = number
            for handle, event in batch.step():
                events.setdefault(handle, []).append(event)
                if event.finish_reason:
                    yield numbers.pop(handle), finished(events.pop(handle))
    finally:
        for handle in numbers:
            batch.cancel(handle)


def finished(events: Sequence[Event]) -> Finished:
    """The answer that all its events make; UserError where it needed what cannot be loaded."""
    reason = events[-1].finish_reason
    assert reason is not None
    if events[-1].error:
        raise events[-1].error
    return Finished(
        text="".join(event.text for event in events),
        token_ids=tuple(token for event in events for token in event.token_ids),
        finish_reason=reason,
        logprobs=tuple(logprob for event in events for logprob in event.logprobs),
    )


def _place(request: Request) -> tuple[str, int]:
    return request.adapter or "", len(request.prompt_ids)
