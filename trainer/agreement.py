"""The steps that all ranks take together. They are made ahead; if one rank cannot make its part, all ranks stop."""

import itertools
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from accelerate import Accelerator
from accelerate.utils import gather_object

from contract.errors import UserError
from trainer.engines.engine import Engine
from trainer.step import DeferredNumbers, StepCounts, TrainState, Wishes, count_step
from trainer.stream.cursor import Cursor
from trainer.stream.packs import PackStream, StepPacks
from trainer.stream.prefetch import prefetch

_STEPS_AHEAD: Final = 4


@dataclass(frozen=True)
class _Made:
    """This rank's part of a step, or the error that prevented it."""

    mine: StepPacks
    batches: list[Any]
    error: Exception | None = None


def agreed_steps(
    stream: PackStream,
    cursor: Cursor,
    state: TrainState,
    *,
    on_wait: Callable[[float], None],
    wishes: Callable[[], Wishes] = Wishes,
) -> Generator[tuple[StepPacks, list[Any], StepCounts], None, None]:
    """This rank's packs of each step of an epoch, their batches, and the counts over all ranks. Collective.

    If a rank cannot make its packs (UserError, OSError), all ranks raise the same UserError before that step.
    `on_wait` gets the seconds that the loop waited for a step. `wishes` are asked one step ahead.
    """
    steps = stream.epoch(cursor)
    made = prefetch(_made(steps, state.engine), ahead=_STEPS_AHEAD)
    try:
        yield from _counted(_timed(made, on_wait), state.accelerator, wishes)
    finally:
        made.close()  # its thread iterates over `steps`, so it ends first
        steps.close()


def _made(steps: Iterator[StepPacks], engine: Engine) -> Iterator[_Made]:
    """This rank's part of each step. After an error, that error for ever: the other ranks still expect this rank."""
    try:
        for step in steps:
            yield _Made(step, engine.batches(step.packs))
    except (UserError, OSError) as error:
        yield from itertools.repeat(_Made(StepPacks((), {}), [], error))


def _timed(items: Iterator[_Made], on_wait: Callable[[float], None]) -> Iterator[_Made]:
    """The same items, each after `on_wait` got the seconds that it took."""
    while True:
        started = time.perf_counter()
        item = next(items, None)
        on_wait(time.perf_counter() - started)
        if item is None:
            return
        yield item


def _counted(
    steps: Iterator[_Made], accelerator: Accelerator, wishes: Callable[[], Wishes]
) -> Iterator[tuple[StepPacks, list[Any], StepCounts]]:
    """Each step with its counts, which are requested one step ahead."""
    held: tuple[_Made, DeferredNumbers] | None = None
    for made in steps:
        has_failed = made.error is not None
        following = made, count_step(made.mine, accelerator, has_failed=has_failed, wishes=wishes())
        if held is not None:
            counts = StepCounts(*held[1].get())
            if counts.ranks_failed:
                raise _agreed_failure(held[0].error)
            yield held[0].mine, held[0].batches, counts
        held = following


def _agreed_failure(error: Exception | None) -> UserError:
    """The errors of all ranks, as one error that is the same on each of them. Collective."""
    texts = {text for text in gather_object([str(error) if error else ""]) if text}
    return UserError(f"{'; '.join(sorted(texts))}. Then go on with --resume, from the last checkpoint if there is one")
