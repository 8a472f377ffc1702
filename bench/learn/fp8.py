"""Which part of a training in FP8 costs recall: the same training in many ways, each of which rounds other operands.

python -m bench.learn.fp8 --base FOLDER --catalogue synth.npz --out fp8.json [--products 1000] [--exposures 10]

Rounding is emulated: an operand becomes the nearest values of FP8 (e4m3) times their scale, and is multiplied in 16
bit. So a way costs no less time than another, and what no GPU can multiply can be tried. Each adapter is asked twice:
on the exact base, as every program that loads it would, and on the base as it was trained.

Shapes: T tokens, K input columns and N output rows of a product, R ranks, C hidden columns.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.figures import rounded
from bench.learn.adapter import make_adapter, reset
from bench.learn.base import Base, Sizes, answer_logits, attention, hidden, load_base, rms_norm, rotate
from bench.learn.catalogue import IGNORED, Catalogue, StepShape, cut_into_steps, load_catalogues, step_row
from bench.learn.grid import Recipe
from bench.learn.step import adam, answer_losses
from bench.machine import versions
from trainer.native.kernels.rounding import quantize_rows

_ROTATED: Final = 64  # columns that are rotated together
_BLOCK: Final = 128  # columns that share a scale
_WORDING: Final = "what_is"
_ASKED: Final = 512  # records of each kind


@dataclass(frozen=True, kw_only=True)
class Way:
    """Which operands of a product with a frozen matrix are rounded, and how."""

    name: str
    weights: bool = False  # of the forward product
    inputs: bool = False
    back: bool = False  # both operands of the backward product: the gradient and the weights
    block: bool = False  # a scale for 128 columns instead of a row
    is_rotated: bool = False  # columns are mixed by a Hadamard matrix first, so that no column stands out
    outliers: int = 0  # input columns that stay in 16 bit, those with the largest values
    is_low_rounded: bool = False  # the adapter gets the rounded inputs, too
    is_stochastic: bool = False  # gradients are rounded up or down by chance, right on average
    exact_from: float = 1  # share of the steps after which nothing is rounded any more


EXACT: Final = Way(name="bf16")
_ALL: Final[dict[str, bool]] = {"weights": True, "inputs": True, "back": True}
WAYS: Final = (
    EXACT,
    Way(name="all, as the engine", **_ALL),
    Way(name="weights and inputs", weights=True, inputs=True),
    Way(name="weights", weights=True),
    Way(name="inputs", inputs=True),
    Way(name="backward products", back=True),
    Way(name="all, scales of 128 columns", **_ALL, block=True),
    Way(name="all, rotated", **_ALL, is_rotated=True),
    Way(name="all, 16 columns exact", **_ALL, outliers=16),
    Way(name="all, adapter fed rounded", **_ALL, is_low_rounded=True),
    Way(name="all, gradients by chance", **_ALL, is_stochastic=True),
    Way(name="all, last quarter exact", **_ALL, exact_from=0.75),
    Way(name="all, last half exact", **_ALL, exact_from=0.5),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains in each way; the output is written after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--catalogue", required=True, type=Path, help="file that `bench.learn encode` wrote")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--products", type=int, default=1_000)
    parser.add_argument("--exposures", type=float, default=10)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--tokens", type=int, default=8_192, help="of a step")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no way after so many seconds")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    is_gpu = torch.cuda.is_available()
    device, dtype = torch.device("cuda" if is_gpu else "cpu"), torch.bfloat16 if is_gpu else torch.float32
    base, catalogues = load_base(options.base, device=device, dtype=dtype), load_catalogues(options.catalogue)
    recipe = Recipe(
        name="fp8", products=options.products, exposures=options.exposures, tokens_per_step=options.tokens,
        rank=options.rank, alpha=2 * options.rank, rate=options.rate, beta2=0.99,
    )  # fmt: skip
    machine = {"device": torch.cuda.get_device_name() if is_gpu else "cpu"} | versions(("torch", "transformers"))
    report: dict[str, Any] = {"machine": machine, "settings": asdict(recipe), "ways": []}
    for way in WAYS:
        if time.perf_counter() - began > options.seconds:
            print(f"no time left for {way.name}", flush=True)
            continue
        report["ways"].append(rounded(train(base, catalogues, recipe, way)))
        options.out.write_text(json.dumps(report, indent=1) + "\n")
        print(json.dumps(report["ways"][-1]), f"at {time.perf_counter() - began:.0f} s", flush=True)


def train(base: Base, catalogues: dict[str, Catalogue], recipe: Recipe, way: Way) -> dict[str, Any]:
    """One training; its last loss, and what comes back on the exact base and on the base as trained."""
    step = Step(base, recipe, way)
    seen, num = catalogues["seen"], recipe.products or len(catalogues["seen"])
    began = time.perf_counter()
    losses = [step.run(row) for row in _rows(seen, recipe, num, step.shape, num_steps=step.num_steps(seen, num))]
    loss = float(torch.stack(losses[-10:]).mean())
    found: dict[str, Any] = {"way": way.name, "steps": len(losses), "seconds": time.perf_counter() - began}
    found["last_loss"] = loss
    records = np.random.default_rng(1).permutation(num)[:_ASKED].tolist()
    found["asked_exact"] = step.ask(seen, records, EXACT)
    found["asked_as_trained"] = step.ask(seen, records, way)
    return found


class Step:
    """An adapter, its optimizer and the steps of one training."""

    def __init__(self, base: Base, recipe: Recipe, way: Way) -> None:
        self.base, self.recipe, self.way = base, recipe, way
        self.shape = StepShape.of(recipe.tokens_per_step)
        self.adapter = make_adapter(base, rank=recipe.rank)
        reset(self.adapter, scale=recipe.scale, seed=recipe.seed)
        self.moments = [torch.zeros_like(flat) for flat in (self.adapter.flat_a,) * 2 + (self.adapter.flat_b,) * 2]
        device = base.norm_C.device
        self.row = torch.zeros(sum(self.shape.parts), dtype=torch.int32, device=device)
        self.rate, self.count, self.loss = (torch.zeros((), device=device) for _ in range(3))
        self.beta2 = torch.tensor(recipe.beta2, device=device)
        self.done, self.total = 0, 1
        self._graphs: dict[Way, torch.cuda.CUDAGraph] = {}

    def num_steps(self, catalogue: Catalogue, num: int) -> int:
        """Of the whole training."""
        documents = [(record, _WORDING) for record in range(num)] * 4
        full = list(cut_into_steps(documents, catalogue, self.shape))[:-1] or [documents]
        self.total = math.ceil(self.recipe.exposures * num / (sum(map(len, full)) / len(full)))
        return self.total

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


def layer(
    x_TC: Tensor, weights: tuple[Tensor, ...], norms_2C: Tensor, rotary: tuple[Tensor, Tensor], bounds: Tensor,
    sizes: Sizes, *, way: Way,
) -> Tensor:  # fmt: skip
    """As `base.layer`, with an adapter beside each product; weights are the matrices, then all A, then all B."""
    qkv_of, o_of, gate_up_of, down_of = (
        partial(product, weight_NK=weights[index], a_RK=weights[4 + index], b_NR=weights[8 + index], way=way)
        for index in range(4)
    )
    num_tokens, width = len(x_TC), sizes.heads * sizes.head_dim
    qkv = qkv_of(rms_norm(x_TC, norms_2C[0], sizes.eps)).view(num_tokens, -1, sizes.head_dim)
    query, key, value = qkv.split([sizes.heads, sizes.kv_heads, sizes.kv_heads], 1)
    query, key = rotate(query, rotary), rotate(key, rotary)
    x_TC = x_TC + o_of(attention(query, key, value.contiguous(), bounds, sizes).reshape(num_tokens, width))
    gate, up = gate_up_of(rms_norm(x_TC, norms_2C[1], sizes.eps)).chunk(2, -1)
    return x_TC + down_of(functional.silu(gate) * up)


def product(x_TK: Tensor, *, weight_NK: Tensor, a_RK: Tensor, b_NR: Tensor, way: Way) -> Tensor:
    """x W^T + x A^T B^T, summed in float32 and rounded once; W is frozen."""
    low_input = x_TK
    if way.is_low_rounded:
        low_input = x_TK + (_round(x_TK, way) - x_TK).detach()
    result: Tensor = _Product.apply(x_TK, low_input @ a_RK.T, weight_NK, b_NR, way)
    return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TK: Tensor, low_TR: Tensor, weight_NK: Tensor, b_NR: Tensor, way: Way) -> Tensor:
        ctx.save_for_backward(low_TR, weight_NK, b_NR)
        ctx.way = way
        x, weight = (_round(x_TK, way) if way.inputs else x_TK), (_round(weight_NK, way) if way.weights else weight_NK)
        if way.outliers and way.inputs:
            exact = x_TK.abs().amax(0).topk(min(way.outliers, x_TK.shape[1])).indices
            x, weight = x.index_copy(1, exact, x_TK[:, exact]), weight.index_copy(1, exact, weight_NK[:, exact])
        return torch.cat([x, low_TR], 1) @ torch.cat([weight, b_NR], 1).T

    @staticmethod
    def backward(ctx: Any, grad_TN: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        low_TR, weight_NK, b_NR = ctx.saved_tensors
        grad, weight = grad_TN, weight_NK
        if ctx.way.back:
            grad, weight = _round(grad_TN, ctx.way, by_chance=ctx.way.is_stochastic), _round(weight_NK.T, ctx.way).T
        return grad @ weight, grad_TN @ b_NR, None, grad_TN.T @ low_TR, None


def _round(x_TK: Tensor, way: Way, *, by_chance: bool = False) -> Tensor:
    """The values that FP8 would hold, in the type of x."""
    rows, columns = x_TK.shape
    if way.is_rotated:
        mixed = _mixed(x_TK)
        return _mixed(nearest(mixed, by_chance=by_chance)).to(x_TK.dtype)
    if way.block:
        padded = functional.pad(x_TK, (0, -columns % _BLOCK)).reshape(-1, _BLOCK)
        return nearest(padded, by_chance=by_chance).view(rows, -1)[:, :columns].to(x_TK.dtype)
    return nearest(x_TK, by_chance=by_chance).to(x_TK.dtype)


def nearest(x_TK: Tensor, *, by_chance: bool) -> Tensor:
    """The nearest values of FP8 with a scale a row; by chance one of the two neighbours, so that the mean is right."""
    if not by_chance:
        return quantize_rows(x_TK).dense(torch.float32)
    x_TK = x_TK.float()
    # e4m3 keeps 3 bits behind the leading one: noise as wide as the step between two neighbours, then the nearest.
    scale_T1 = x_TK.abs().amax(1, keepdim=True).clamp(min=1e-30) / 448
    values = x_TK / scale_T1
    width = torch.exp2(values.abs().clamp(min=2**-6).log2().floor() - 3)
    noisy = values + width * (torch.rand_like(values) - 0.5)
    return noisy.clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale_T1


def _mixed(x_TK: Tensor) -> Tensor:
    """Blocks of 64 columns times a Hadamard matrix with rows of length one, which is its own inverse."""
    matrix = hadamard(_ROTATED, x_TK.device)
    return (x_TK.float().reshape(len(x_TK), -1, _ROTATED) @ matrix).view_as(x_TK)


@cache
def hadamard(size: int, device: torch.device) -> Tensor:
    """Of a power of two."""
    matrix = torch.ones(1, 1, device=device)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix / math.sqrt(size)


def _rows(catalogue: Catalogue, recipe: Recipe, num: int, shape: StepShape, *, num_steps: int) -> Iterator[Tensor]:
    """The rows of so many steps, each pass over the records in another order."""
    generator = np.random.default_rng(recipe.seed)
    left: list[tuple[int, str]] = []
    done = 0
    while True:
        fresh = [(int(record), _WORDING) for record in generator.permutation(num)]
        *steps, left = cut_into_steps(left + fresh, catalogue, shape)
        for documents in steps:
            yield torch.from_numpy(step_row(documents, catalogue, shape))
            done += 1
            if done == num_steps:
                return


if __name__ == "__main__":
    main()
