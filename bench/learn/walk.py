"""Trains the points of a grid one after the other, and keeps of each a curve of recall against exposures and time."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.learn.adapter import Adapter, make_adapter
from bench.learn.base import Base
from bench.learn.catalogue import Catalogue, StepShape, cut_into_steps, step_row
from bench.learn.grid import Recipe
from bench.learn.recall import Prober, Recalled
from bench.learn.step import Functions, TrainStep, functions

_PROBED = 512  # records of each kind, along the curve
_PROBE_TOKENS = 16_384


@dataclass(frozen=True)
class Shelf:
    """One data set's records."""

    seen: Catalogue
    unseen: Catalogue


class Walker:
    """Holds the base, and a captured step for each size and rank that was met."""

    def __init__(self, base: Base, shelves: dict[str, Shelf], *, probe_tokens: int = _PROBE_TOKENS) -> None:
        self.base, self.shelves = base, shelves
        self.parts: Functions = functions(base.norm_C.device)
        self.prober = Prober(base, StepShape.of(probe_tokens), self.parts)
        self._steps: dict[tuple[int, int, str, str], TrainStep] = {}

    def walk(self, recipe: Recipe) -> tuple[dict[str, Any], Adapter]:
        """The point's settings, curve and last recall, and the adapter as trained (until the next point)."""
        shelf = self.shelves[recipe.catalogue]
        num = recipe.products or len(shelf.seen)
        sample = np.random.default_rng(1).permutation(num)[:_PROBED].tolist()
        num_steps, tokens = num_steps_of(recipe, shelf.seen, num)
        began = time.perf_counter()
        step = self._step(recipe, shelf.seen)
        step.begin(recipe, num_steps)
        self._wait()
        prepared_s = time.perf_counter() - began
        before = self._probe(None, shelf, sample)
        curve, train_s, done = [], 0.0, 0
        began = time.perf_counter()
        for last, exposures in self._trained(step, recipe, shelf.seen, num, num_steps):
            self._wait()
            train_s += time.perf_counter() - began
            loss = float(step.losses[done:last].mean())
            done = last
            now = self._probe(step.adapter, shelf, sample)
            curve.append({"step": last, "exposures": exposures, "seconds": round(train_s, 3), "train_loss": loss} | now)
            began = time.perf_counter()
        result = {
            "settings": asdict(recipe), "products": num, "steps": num_steps, "tokens_an_exposure": tokens,
            "parameters": step.adapter.num_parameters, "prepared_s": round(prepared_s, 1), "train_s": round(train_s, 3),
            "before": before, "curve": curve,
        }  # fmt: skip
        result |= self._finish(step.adapter, shelf, num, result)
        return result, step.adapter

    def ask(self, adapter: Adapter | None, catalogue: Catalogue, records: list[int], wording: str) -> Recalled:
        """As `Prober.ask`."""
        return self.prober.ask(adapter, catalogue, records, wording)

    def _step(self, recipe: Recipe, catalogue: Catalogue) -> TrainStep:
        key = recipe.rank, recipe.tokens_per_step, recipe.catalogue, recipe.optimizer
        if key not in self._steps:
            if len(self._steps) == 4:  # a captured step of 16,384 tokens keeps some 15 GB
                del self._steps[next(iter(self._steps))]
            adapter = make_adapter(self.base, rank=recipe.rank)
            shape = StepShape.of(recipe.tokens_per_step)
            self._steps[key] = TrainStep(
                self.base, adapter, shape, len(catalogue), self.parts, is_muon=recipe.optimizer == "muon"
            )
        return self._steps[key]

    def _trained(
        self, step: TrainStep, recipe: Recipe, catalogue: Catalogue, num: int, num_steps: int
    ) -> Iterator[tuple[int, float]]:
        """Trains; stops at each mark to give the number of steps done and exposures so far."""
        marks = [math.ceil(mark / recipe.exposures * num_steps) for mark in recipe.marks if mark < recipe.exposures]
        stops = sorted({*marks, num_steps})
        done = 0
        for rows in passes(step.shape, recipe, catalogue, num, is_right=step.is_right):
            on_device = torch.from_numpy(rows).to(self.base.norm_C.device)
            for row in on_device:
                step.run(row)
                done += 1
                if done in stops:
                    yield done, done / num_steps * recipe.exposures
                if done == num_steps:
                    return

    def _probe(self, adapter: Adapter | None, shelf: Shelf, sample: list[int]) -> dict[str, Any]:
        unseen = list(range(min(_PROBED, len(shelf.unseen))))
        asked = {"seen": self.ask(adapter, shelf.seen, sample, "what_is")}
        asked["unseen"] = self.ask(adapter, shelf.unseen, unseen, "what_is")
        return {kind: recalled.shares() for kind, recalled in asked.items()}

    def _finish(self, adapter: Adapter, shelf: Shelf, num: int, result: dict[str, Any]) -> dict[str, Any]:
        """Recall of all records seen and unseen, with intervals, and the bits that the adapter stores."""
        all_seen = self.ask(adapter, shelf.seen, list(range(num)), "what_is")
        asked = {"seen": all_seen, "unseen": self.ask(adapter, shelf.unseen, list(range(len(shelf.unseen))), "what_is")}
        before = self.ask(None, shelf.seen, list(range(num)), "what_is").shares()["loss"]
        unseen_before = result["before"]["unseen"]["loss"]
        losses = [unseen_before, *(each["unseen"]["loss"] for each in result["curve"])]
        tokens = all_seen.num_tokens
        gain = before - all_seen.shares()["loss"]
        # What unseen records gained at their best: later they lose, and that is no memory.
        bits = tokens * (gain - (unseen_before - min(losses))) / math.log(2)
        return {
            "after": {kind: each.shares() | {"intervals": each.intervals()} for kind, each in asked.items()},
            "ties": all_seen.num_ties, "answer_tokens": tokens, "seen_loss_before": before,
            "bits": bits, "bits_a_parameter": bits / result["parameters"], "bits_a_record": bits / num,
        }  # fmt: skip

    def _wait(self) -> None:
        if self.base.norm_C.is_cuda:
            torch.cuda.synchronize()


def num_steps_of(recipe: Recipe, catalogue: Catalogue, num: int) -> tuple[int, int]:
    """Steps that give each record its exposures, and tokens of one exposure of all, averaged over the wordings."""
    shape = StepShape.of(recipe.tokens_per_step)
    order = np.random.default_rng(recipe.seed).permutation(num)
    documents = [(int(record), recipe.wordings[at % len(recipe.wordings)]) for at, record in enumerate(order)]
    tokens = sum(len(catalogue.prompts[each][record]) + len(catalogue.answers[record]) for record, each in documents)
    steps = list(cut_into_steps(documents * 4, catalogue, shape))
    full = steps[:-1] or steps
    per_step = sum(map(len, full)) / len(full)
    return math.ceil(recipe.exposures * num / per_step), tokens


def passes(
    shape: StepShape, recipe: Recipe, catalogue: Catalogue, num: int, *, is_right: Tensor | None = None
) -> Iterator[NDArray[np.int32]]:
    """Rows of steps, a pass over the records at a time; what does not fill a step opens the next pass.

    `is_right` tells which records came back whole, for recipes whose records rest.
    """
    generator = np.random.default_rng(recipe.seed)
    left: list[tuple[int, str]] = []
    due = np.zeros(num, np.int64)
    for number in range(10**9):
        if recipe.rest and number and is_right is not None:
            right = is_right[:num].cpu().numpy() > 0  # waits for the GPU
            due[right & (due <= number - 1)] = number + recipe.rest
        records = generator.permutation(np.flatnonzero(due <= number))
        asked = generator.integers(len(recipe.wordings), size=len(records))
        fresh = [(int(record), recipe.wordings[each]) for record, each in zip(records, asked, strict=True)]
        *steps, left = cut_into_steps(left + fresh, catalogue, shape)
        if steps:
            yield np.stack([step_row(documents, catalogue, shape) for documents in steps])
