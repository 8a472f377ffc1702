"""Prefetching changes neither order nor errors, and its thread ends."""

import threading
import time
from collections.abc import Iterator

import pytest

from trainer.stream.prefetch import prefetch


@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_items_come_in_order(ahead: int) -> None:
    assert list(prefetch(iter(range(50)), ahead=ahead)) == list(range(50))


def test_an_error_comes_at_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    made = prefetch(items(), ahead=4)

    assert next(made) == 1
    with pytest.raises(ValueError, match="broken"):
        next(made)


def test_only_so_many_items_are_made_ahead_and_the_thread_ends_with_its_consumer() -> None:
    numbers: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10**9):
            numbers.append(number)
            yield number

    made = prefetch(items(), ahead=3)
    next(made)
    time.sleep(0.3)
    assert len(numbers) <= 6
    made.close()

    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(thread.name == "prefetch" for thread in threading.enumerate()):
        time.sleep(0.05)
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
