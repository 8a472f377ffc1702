"""Recall of a small sample while a run trains. It draws no random number and leaves the adapter as it is.

Probes take under 2 % of the time of training: the first one asks few records, and each further one waits until the time
trained since the last one is many times what that one took. Only the measurement at the end of a run asks more.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from accelerate.utils import broadcast_object_list, gather_object
from numpy.typing import NDArray

from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.engines.engine import Engine
from trainer.examples.encoder import Record
from trainer.recall.measure import Asked, Recalled, ask, gathered, measure, recall_of
from trainer.recall.neutral import neutral_examples, neutral_losses
from trainer.recall.same_text import comes_back, has_trained_text
from trainer.recall.sample import all_rows, held_out, sample, trained_rows
from trainer.recall.summary import best_gain, bits, group
from trainer.recipes.recipe import Recipe
from trainer.runs import names
from trainer.runs.metrics import read_recalls
from trainer.runs.recalls import Group, Neutral, Probed, Report
from trainer.stream.cursor import Cursor
from trainer.stream.packs import PackStream

_TIMES: Final = 64  # the time trained between two probes, over what a probe takes
_LEAST, _MOST = 8, 512  # records of a sample, seen and unseen
_LEAST_AT_END, _MOST_AT_END = 64, 2_000
_TRAINED_FOR_ONE: Final = 100  # records trained for each one that a probe asks; a forward pass is a third of a step
_TRAINED_FOR_ONE_AT_END: Final = 8
_RECORD_TOKENS: Final = 200  # of a record, to guess how many a number of steps trains

Value = TypeVar("Value")


@dataclass(frozen=True)
class Samples:
    """The records that a run is asked about at its end. A probe asks the first ones of both lists."""

    seen: list[Record]
    unseen: list[Record]
    num_seen: int
    num_unseen: int


@dataclass
class Schedule:
    """When a probe is due: after many times the time that the last one took."""

    last_step: int  # after which was measured
    took_s: float
    clock: Callable[[], float] = time.perf_counter
    _ended_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Starts the time of training."""
        self._ended_s = self.clock()

    def is_due(self) -> bool:
        """Whether enough time has passed by the clock of this process."""
        return self.clock() - self._ended_s >= _TIMES * self.took_s

    def is_agreed(self, num_due: int, *, step: int) -> bool:
        """Whether all ranks measure after this step, for which `num_due` ranks found a probe due.

        Steps are made ahead, so this may have been found before the last probe: then it does not count.
        """
        return num_due > 0 and step > self.last_step + 1

    def measured(self, step: int, *, began_s: float) -> None:
        """Notes that a probe after this step has ended now."""
        self._ended_s = self.clock()
        self.last_step, self.took_s = step, self._ended_s - began_s


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Measures recall while a run trains. All ranks call its methods together, except `is_due`."""

    engine: Engine
    stream: PackStream
    samples: Samples
    seen: Asked  # this rank's part of what a probe asks
    unseen: Asked
    measured: list[Probed]  # so far, also before a resume; the first one is of the base alone
    schedule: Schedule

    def begin(self, step: int) -> Probed | None:
        """The base alone, before the first step; None where it was measured before, or can no longer be measured."""
        if self.measured or step:
            return None
        neutral = neutral_losses(self.engine, neutral_examples(self.stream.encoder))
        if self.engine.model.device.type == "cuda":
            recall_of(self.engine, self.seen)  # compiles kernels, which is no part of what a probe takes
        return self.measure(step, neutral=neutral)

    def is_due(self) -> bool:
        """Whether a probe is due by the clock of the first rank; false on the other ranks."""
        return self.stream.rank.index == 0 and self.schedule.is_due()

    def measure(self, step: int, *, neutral: dict[str, Neutral] | None = None) -> Probed:
        """What comes back of the small sample after this step."""
        began_s = self.schedule.clock()
        seen, unseen = self._gathered(self.seen), self._gathered(self.unseen)
        self.schedule.measured(step, began_s=began_s)
        probed = Probed(
            step=step,
            seconds=self.schedule.took_s,
            seen=group(seen, before=self._base_loss("seen")),
            unseen=group(unseen, before=self._base_loss("unseen")),
            neutral=neutral or {},
        )
        self.measured.append(probed)
        return probed

    def finish(self, step: int, cursor: Cursor) -> Report:
        """What comes back at the end of the run, of a larger sample of the records that it trained by this cursor."""
        began_s = self.schedule.clock()
        lanes = {
            lane: position for of_rank in gather_object([dict(cursor.lanes)]) for lane, position in of_rank.items()
        }
        is_trained = _trained(self.stream, cursor.with_lanes(lanes))
        records = [record for record in self.samples.seen if is_trained[record.row]]
        encode, rank = self.stream.encoder.encode, self.stream.rank
        asked = measure(self.engine, records, encode, rank=rank)
        seen = group(asked, before=self._base_loss("seen"), compared=asked.first(self.samples.num_seen))
        unseen, same_text = self._unseen_at_end(is_trained)
        base_neutral = self.measured[0].neutral if self.measured else {}
        neutral = neutral_losses(self.engine, neutral_examples(self.stream.encoder), before=base_neutral)
        seconds = self.schedule.clock() - began_s
        self.measured.append(Probed(step=step, seconds=seconds, seen=seen, unseen=unseen, neutral=neutral))
        num_trained = int(is_trained.sum())
        return Report(
            step=step,
            trained_records=num_trained,
            seen=seen,
            unseen=unseen,
            same_text=same_text,
            bits=bits(
                seen,
                unseen_gain=best_gain(unseen, self.measured),
                records=num_trained,
                parameters=sum(parameter.numel() for parameter in self.engine.parameters()),
            ),
            neutral=neutral,
        )

    def _unseen_at_end(self, is_trained: NDArray[np.bool_]) -> tuple[Group | None, Group | None]:
        """The unseen records, and apart from them those whose text was trained under another title. Collective."""
        stream, records = self.stream, self.samples.unseen
        asked = measure(self.engine, records, stream.encoder.encode, rank=stream.rank)
        before, compared = self._base_loss("unseen"), asked.first(self.samples.num_unseen)
        if not comes_back(asked):
            return group(asked, before=before, compared=compared), None

        def read() -> NDArray[np.bool_]:
            return has_trained_text(records, stream.data, is_trained=is_trained, cache=stream.cache)

        is_same_N = _from_first_rank(read, is_first=stream.rank.index == 0)
        others, same = asked.take(np.flatnonzero(~is_same_N)), asked.take(np.flatnonzero(is_same_N))
        return group(others, before=before, compared=compared), group(same, before=None)

    def _gathered(self, part: Asked) -> Recalled:
        return gathered(recall_of(self.engine, part), world=self.stream.rank.world)

    def _base_loss(self, name: str) -> float | None:
        """The mean loss of the base alone on a probe's seen or unseen records, where it was measured."""
        of_base = getattr(self.measured[0], name) if self.measured and self.measured[0].step == 0 else None
        return of_base.loss_after if of_base else None


def make_probe(config: TrainConfig, engine: Engine, *, stream: PackStream, recipe: Recipe, step: int) -> Probe:
    """The probe of a run that goes on from `step`. The first rank reads the sample for all: collective.

    UserError, on all ranks, where the data cannot be read.
    """

    def read() -> tuple[Samples, list[Probed]]:
        run = Path(config.run)
        recalls = read_recalls(run) if (run / names.METRICS).exists() else []
        earlier = [each for each in recalls if each.step <= step]
        base = earlier[0] if earlier else None
        return draw_samples(stream, recipe, max_steps=config.max_steps, base=base), earlier

    samples, measured = _from_first_rank(read, is_first=stream.rank.index == 0)
    rank, encode = stream.rank, stream.encoder.encode

    def asked(records: list[Record]) -> Asked:
        return ask(engine, records[rank.index :: rank.world], encode)

    return Probe(
        engine=engine,
        stream=stream,
        samples=samples,
        seen=asked(samples.seen[: samples.num_seen]),
        unseen=asked(samples.unseen[: samples.num_unseen]),
        measured=measured,
        # The measurement at the end of a run that is then resumed took longer than a probe.
        schedule=Schedule(measured[-1].step, min(each.seconds for each in measured)) if measured else Schedule(0, 0.0),
    )


def draw_samples(stream: PackStream, recipe: Recipe, *, max_steps: int | None, base: Probed | None) -> Samples:
    """The records that the run is asked about: few where few are trained. `base` was measured with such a sample."""
    trained = stream.num_records * recipe.epochs
    if max_steps:
        trained = min(trained, max_steps * recipe.tokens_per_step // _RECORD_TOKENS)
    num = min(max(trained // _TRAINED_FOR_ONE, _LEAST), _MOST)
    num_at_end = min(max(trained // _TRAINED_FOR_ONE_AT_END, _LEAST_AT_END), _MOST_AT_END)
    is_trained = _trained(stream, Cursor.start(recipe.epochs))
    unseen = held_out(stream.data)
    half = -(-num_at_end // 2)
    seen_drawn = sample(stream.data, half, is_asked=is_trained, seed=stream.seed, cache=stream.cache)
    unseen_drawn = sample(unseen, half, is_asked=all_rows(unseen), seed=stream.seed, cache=stream.cache)
    nums = (_num_asked(base.seen), _num_asked(base.unseen)) if base else (-(-num * 2 // 3), -(-num // 3))
    return Samples(seen_drawn, unseen_drawn, *nums)


def _num_asked(of: Group | None) -> int:
    return of.records + of.cut_records if of else 0


def _trained(stream: PackStream, cursor: Cursor) -> NDArray[np.bool_]:
    return trained_rows(stream.data, max_length=stream.encoder.max_length, seed=stream.seed, cursor=cursor)


def _from_first_rank(make: Callable[[], Value], *, is_first: bool) -> Value:
    """What the first rank makes, on all ranks; UserError on all of them if it cannot. Collective."""
    made: list[object] = [None, None]
    if is_first:
        try:
            made[0] = make()
        except (UserError, OSError) as error:
            made[1] = str(error)
    value, problem = broadcast_object_list(made)
    if problem is not None:
        raise UserError(problem)
    return value
