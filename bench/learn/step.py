"""A whole optimizer step as one CUDA graph: merge, forward, backward, clipping, AdamW.

At a base of 135 M parameters a step launches some 3,000 kernels; from Python that takes longer than computing them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor

from bench.learn.adapter import Adapter, gradients, merge, reset
from bench.learn.base import Base, Sizes, answer_logits, hidden, layer
from bench.learn.catalogue import IGNORED, StepShape
from bench.learn.grid import Recipe
from trainer.muon import AS_ADAMW, MOMENTUM, orthogonal

_MAX_STEPS: Final = 40_000
_EPS: Final = 1e-8


@dataclass(frozen=True)
class Functions:
    """The parts that are compiled on a GPU, and left as they are elsewhere."""

    layer: Callable[..., Tensor]
    losses: Callable[..., tuple[Tensor, Tensor]]
    adam: Callable[..., None]


def functions(device: torch.device) -> Functions:
    """Compiled once for each size of step: 23 s for the first, 7 s for each other one, on an H100 with 16 cores."""
    if device.type != "cuda":
        return Functions(layer, answer_losses, adam)
    torch._dynamo.config.recompile_limit = 64
    compiled = partial(torch.compile, dynamic=False, fullgraph=True)
    return Functions(compiled(layer), compiled(answer_losses), compiled(adam))


def answer_losses(
    x_TC: Tensor, places_A: Tensor, targets_A: Tensor, norm_C: Tensor, embedding_VC: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Each answer token's cross entropy, 0 where ignored, and whether it has the largest logit."""
    logits_AV = answer_logits(x_TC, places_A, norm_C, embedding_VC, eps)
    is_there = targets_A != IGNORED
    target_A = logits_AV.gather(1, targets_A.clamp(min=0)[:, None].long())[:, 0]
    loss_A = torch.where(is_there, logits_AV.logsumexp(1) - target_A, 0.0)
    return loss_A, (target_A >= logits_AV.amax(1)).detach()


def adam(
    value: Tensor,
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    factor: Tensor,
    rate: Tensor,
    count: Tensor,
    beta2: Tensor,
) -> None:
    """AdamW without decay (Loshchilov 2019), in place; `factor` clips the gradient, `count` is the step's, from 1."""
    grad = grad * factor
    mean.lerp_(grad, 0.1)
    square.copy_(beta2 * square + (1 - beta2) * grad * grad)
    step = (mean / (1 - 0.9**count)) / ((square / (1 - beta2**count)).sqrt() + _EPS)
    value.sub_(rate * step)


class TrainStep:
    """Trains one adapter of one rank on steps of one shape; `begin` starts a new point with fresh values."""

    def __init__(
        self,
        base: Base,
        adapter: Adapter,
        shape: StepShape,
        num_records: int,
        parts: Functions,
        *,
        is_muon: bool = False,
    ) -> None:
        device = base.norm_C.device
        self.is_muon = is_muon
        self.base, self.adapter, self.shape, self.parts = base, adapter, shape, parts
        self.sizes: Sizes = base.sizes(min(shape.tokens, base.cos_PD.shape[0]))
        self.row = torch.zeros(sum(shape.parts), dtype=torch.int32, device=device)
        self.merged = {product: stack.clone().requires_grad_() for product, stack in base.stacks.items()}
        self.moments = [torch.zeros_like(flat) for flat in (adapter.flat_a,) * 2 + (adapter.flat_b,) * 2]
        self.rates = torch.zeros(_MAX_STEPS, device=device)
        self.count = torch.zeros((), device=device)
        # rate of B over that of A, beta2, largest norm, probability of sure tokens, their weight
        self.knobs = torch.zeros(5, device=device)
        self.losses = torch.zeros(_MAX_STEPS, device=device)
        self.is_right = torch.zeros(num_records + 1, device=device)  # each record's whole answer, as last trained
        self._graph: torch.cuda.CUDAGraph | None = None

    def begin(self, recipe: Recipe, num_steps: int) -> None:
        """Fresh adapter and optimizer; on a GPU the step is captured when this is first called."""
        if num_steps > _MAX_STEPS:
            raise ValueError(f"{num_steps} steps, expected at most {_MAX_STEPS}")
        if self._graph is None and self.row.is_cuda:
            self._capture()
        reset(self.adapter, scale=recipe.scale, seed=recipe.seed)
        for tensor in (*self.moments, self.rates, self.count, self.losses, self.is_right):
            tensor.zero_()
        self.rates[:num_steps] = torch.from_numpy(recipe.rates(num_steps))
        knobs = (recipe.rate_ratio, recipe.beta2, recipe.max_grad_norm, recipe.sure_probability, recipe.sure_weight)
        self.knobs.copy_(torch.tensor(knobs))

    def run(self, row: Tensor) -> None:
        """Trains on a step's row, which is on the device. Does not wait for it."""
        self.row.copy_(row)
        if self._graph is None:
            self._step()
        else:
            self._graph.replay()

    def _capture(self) -> None:
        """Runs the step a few times, as compiling and cuBLAS ask for, then records it."""
        self.row[sum(self.shape.parts[:2]) :][: self.shape.documents + 1] = self.shape.tokens
        self.row[sum(self.shape.parts[:2])] = 0
        self.knobs.copy_(torch.tensor([1, 0.9, 1, 2, 1]))
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._step()

    def _step(self) -> None:
        adapter = self.adapter
        targets_A, owners_A = self.row.split(self.shape.parts)[4:]
        loss_A, right_A, grad_a, grad_b = self.backward()
        with torch.no_grad():
            rate_ratio, beta2, max_norm = self.knobs[:3].unbind()
            norm = (grad_a.square().sum() + grad_b.square().sum()).sqrt()
            factor = (max_norm / (norm + 1e-6)).clamp(max=1)
            place = self.count.long()[None]
            rate = self.rates[place][0]
            self.losses.index_copy_(0, place, (loss_A.sum() / _num_answers(targets_A))[None])
            self.is_right.scatter_reduce_(0, owners_A.long(), right_A.float(), "amin", include_self=False)
            self.count += 1
            if self.is_muon:
                self._muon(grad_a, grad_b, rate, rate * rate_ratio)
                return
            self.parts.adam(adapter.flat_a, grad_a, *self.moments[:2], factor, rate, self.count, beta2)
            self.parts.adam(adapter.flat_b, grad_b, *self.moments[2:], factor, rate * rate_ratio, self.count, beta2)

    def _muon(self, grad_a: Tensor, grad_b: Tensor, rate_a: Tensor, rate_b: Tensor) -> None:
        """As the trainer's optimizer does."""
        adapter, off = self.adapter, torch.zeros_like(rate_a)
        ahead, momenta = (grad_a, grad_b), (self.moments[0], self.moments[2])
        for momentum, grad in zip(momenta, ahead, strict=True):
            momentum.lerp_(grad, 1 - MOMENTUM)
        ahead = tuple(grad.lerp(momentum, MOMENTUM) for grad, momentum in zip(ahead, momenta, strict=True))
        values, ahead = (
            [*zip(*adapter.views(*flats), strict=True)][3:] for flats in ((adapter.flat_a, adapter.flat_b), ahead)
        )
        for stacks, towards, rate in zip(values, ahead, (rate_a, rate_b), strict=True):
            for value, direction in zip(stacks, orthogonal(towards, is_off=off), strict=True):
                value.sub_(rate * AS_ADAMW * max(value.shape[1:]) ** 0.5 * direction.float())

    def backward(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the row in place: each answer token's loss, whether it was right, and the gradients of A and B."""
        base, adapter = self.base, self.adapter
        row = self.row.split(self.shape.parts)
        with torch.no_grad():
            merge(adapter, base, self.merged)
        stacks = tuple(self.merged.values())
        x_TC = hidden(base, stacks, row, sizes=self.sizes, layer=self.parts.layer)
        loss_A, right_A = self.parts.losses(x_TC, *row[3:5], base.norm_C, base.embedding_VC, base.config.rms_norm_eps)
        sure, sure_weight = self.knobs[3:].unbind()
        weight_A = torch.where(loss_A.detach() < -sure.log(), sure_weight, 1.0)
        grads = torch.autograd.grad((weight_A * loss_A).sum() / _num_answers(row[4]), stacks)
        with torch.no_grad():
            return loss_A.detach(), right_A, *gradients(adapter, base, dict(zip(self.merged, grads, strict=True)))


def _num_answers(targets_A: Tensor) -> Tensor:
    return (targets_A != IGNORED).sum().clamp(min=1)
