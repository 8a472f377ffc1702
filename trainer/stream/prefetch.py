"""Work ahead of a consumer in a background thread."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterator[Item], *, ahead: int) -> Generator[Item, None, None]:
    """The same items in the same order; up to `ahead` of them are made before they are asked for.

    An error of the iterator is raised to the consumer after the items before it. When this generator is closed, the
    thread ends after the item that it is making.
    """
    made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=ahead)
    is_over = threading.Event()

    def put(item: Item | None, error: BaseException | None) -> None:
        while not is_over.is_set():
            try:
                made.put((item, error), timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                if is_over.is_set():
                    return
                put(item, None)
            put(None, StopIteration())
        except BaseException as error:  # noqa: BLE001  # handed to the consumer, whatever it is
            put(None, error)

    thread = threading.Thread(target=work, daemon=True, name="prefetch")
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # without an error there is an item
    finally:
        # A thread that is inside a native library when the interpreter exits aborts the process.
        is_over.set()
        thread.join()
