"""A training in one of the ways, and what comes back.

Shapes: T tokens, C hidden columns, R ranks, A answer tokens, V words.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.learn.adapter import make_adapter, reset
from bench.learn.base import Base, answer_logits, hidden
from bench.learn.catalogue import IGNORED, Catalogue, StepShape, cut_into_steps, step_row
from bench.learn.fp8.products import EXACT, Way, layer
from bench.learn.grid import Recipe
from bench.learn.step import adam, answer_losses
from bench.learn.walk import num_steps_of, passes

_WORDING: Final = "what_is"
_ASKED: Final = 512  # records of each kind


def train(base: Base, catalogues: dict[str, Catalogue], recipe: Recipe, way: Way) -> dict[str, Any]:
    """One training; its last loss, and what comes back on the exact base and on the base as trained."""
    seen, num = catalogues["seen"], recipe.products or len(catalogues["seen"])
    num_steps, _ = num_steps_of(recipe, seen, num)
    step = Step(base, recipe, way, num_steps=num_steps)
    began = time.perf_counter()
    rows = (torch.from_numpy(row) for of_pass in passes(step.shape, recipe, seen, num) for row in of_pass)
    losses = [step.run(row) for row in islice(rows, num_steps)]
    loss = float(torch.stack(losses[-10:]).mean())
    found: dict[str, Any] = {"way": way.name, "steps": len(losses), "seconds": time.perf_counter() - began}
    found["last_loss"] = loss
    records = np.random.default_rng(1).permutation(num)[:_ASKED].tolist()
    found["asked_exact"] = step.ask(seen, records, EXACT)
    found["asked_as_trained"] = step.ask(seen, records, way)
    return found


class Step:
    """An adapter, its optimizer and the steps of one training."""

    def __init__(self, base: Base, recipe: Recipe, way: Way, *, num_steps: int = 1) -> None:
        self.base, self.recipe, self.way = base, recipe, way
        self.shape = StepShape.of(recipe.tokens_per_step)
        self.adapter = make_adapter(base, rank=recipe.rank)
        reset(self.adapter, scale=recipe.scale, seed=recipe.seed)
        self.moments = [torch.zeros_like(flat) for flat in (self.adapter.flat_a,) * 2 + (self.adapter.flat_b,) * 2]
        device = base.norm_C.device
        self.row = torch.zeros(sum(self.shape.parts), dtype=torch.int32, device=device)
        self.rate, self.count, self.loss = (torch.zeros((), device=device) for _ in range(3))
        self.beta2 = torch.tensor(recipe.beta2, device=device)
        self.done, self.total = 0, num_steps
        self._graphs: dict[Way, torch.cuda.CUDAGraph] = {}

    def run(self, row: Tensor) -> Tensor:
        """Trains on a step's row; its loss. On a GPU as one CUDA graph."""
        way = EXACT if self.done >= self.way.exact_from * self.total else self.way
        self.row.copy_(row)
        self.rate.fill_(float(self.recipe.rates(self.total)[self.done]))
        self.done += 1
        self.count.fill_(self.done)
        if self.row.is_cuda:
            self._graph(way).replay()
        else:
            self._train(way)
        return self.loss.clone()

    def _graph(self, way: Way) -> torch.cuda.CUDAGraph:
        """The captured step. Adapter and moments are as before it was captured."""
        if way not in self._graphs:
            state = [self.adapter.flat_a, self.adapter.flat_b, *self.moments]
            before = [each.clone() for each in state]
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(2):
                    self._train(way)
            torch.cuda.current_stream().wait_stream(stream)
            self._graphs[way] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graphs[way]):
                self._train(way)
            for each, value in zip(state, before, strict=True):
                each.copy_(value)
        return self._graphs[way]

    def _train(self, way: Way) -> None:
        adapter, base = self.adapter, self.base
        flats = [flat.detach().requires_grad_() for flat in (adapter.flat_a, adapter.flat_b)]
        parts = self.row.split(self.shape.parts)
        x_TC = self.hidden(parts, way, flats)
        eps = base.config.rms_norm_eps
        loss_A, _ = answer_losses(x_TC, *parts[3:5], base.norm_C, base.embedding_VC, eps)
        loss = loss_A.sum() / (parts[4] != IGNORED).sum().clamp(min=1)
        grad_a, grad_b = torch.autograd.grad(loss, flats)
        with torch.no_grad():
            norm = (grad_a.square().sum() + grad_b.square().sum()).sqrt()
            factor = (self.recipe.max_grad_norm / (norm + 1e-6)).clamp(max=1)
            adam(adapter.flat_a, grad_a, *self.moments[:2], factor, self.rate, self.count, self.beta2)
            adam(adapter.flat_b, grad_b, *self.moments[2:], factor, self.rate, self.count, self.beta2)
            self.loss.copy_(loss)

    @torch.no_grad()
    def ask(self, catalogue: Catalogue, records: Sequence[int], way: Way) -> dict[str, float]:
        """Shares of these records whose first 32 tokens and whole answers come back."""
        first, whole = [], []
        flats = [self.adapter.flat_a, self.adapter.flat_b]
        for documents in cut_into_steps([(record, _WORDING) for record in records], catalogue, self.shape):
            row = torch.from_numpy(step_row(documents, catalogue, self.shape)).to(self.base.norm_C.device)
            parts = row.split(self.shape.parts)
            x_TC = self.hidden(parts, way, flats)
            logits_AV = answer_logits(
                x_TC, parts[3], self.base.norm_C, self.base.embedding_VC, self.base.config.rms_norm_eps
            )
            right = (logits_AV.argmax(1) == parts[4]).cpu().numpy()
            at = 0
            for record, _ in documents:
                of_record = right[at : at + len(catalogue.answers[record])]
                at += len(of_record)
                first.append(bool(of_record[:32].all()))
                whole.append(bool(of_record.all()))
        return {"first_32": float(np.mean(first)), "whole": float(np.mean(whole))}

    def hidden(self, parts: tuple[Tensor, ...], way: Way, flats: Sequence[Tensor]) -> Tensor:
        """The last layer's output, T x C."""
        base = self.base
        low = self._low(*flats)
        stacks = (*base.stacks.values(), *low)
        return hidden(
            base, stacks, parts, sizes=base.sizes(min(self.shape.tokens, base.cos_PD.shape[0])),
            layer=partial(layer, way=way),
        )  # fmt: skip

    def _low(self, flat_a: Tensor, flat_b: Tensor) -> Iterator[Tensor]:
        """For each product all A, L x (its projections R) x K, then for each product B in blocks, L x N x the same."""
        dtype, adapter = self.base.norm_C.dtype, self.adapter
        a, b = flat_a.to(dtype), (flat_b * adapter.scale).to(dtype)
        of_product: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for product, _, _, a_LRK, b_LNR in adapter.views(a, b):
            of_product.setdefault(product, []).append((a_LRK, b_LNR))
        yield from (torch.cat([a_LRK for a_LRK, _ in pairs], 1) for pairs in of_product.values())
        for pairs in of_product.values():
            rank = adapter.rank
            yield torch.cat(
                [
                    functional.pad(b_LNR, (index * rank, (len(pairs) - 1 - index) * rank))
                    for index, (_, b_LNR) in enumerate(pairs)
                ],
                1,
            )
