"""How much of a catalogue comes back, measured by forward passes.

Greedy decoding returns the first n tokens of an answer exactly if, given the true tokens before it, each of the n has
the largest logit. So one forward pass a record tells what generation would return.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.learn.adapter import Adapter, merge
from bench.learn.base import Base, answer_logits, hidden
from bench.learn.catalogue import Catalogue, StepShape, cut_into_steps, step_row
from bench.learn.step import Functions

_NUM_DRAWS: Final = 2_000


@dataclass(frozen=True)
class Answered:
    """One record's answer as the model gives it word by word, each after the true words before it."""

    words: NDArray[np.int64]
    margins: NDArray[np.float32]  # of each word's logit over the second largest; 0 where two words share the largest
    losses: NDArray[np.float32]
    num_right: int  # first words without an error


@dataclass(frozen=True)
class Recalled:
    """What comes back of some records."""

    answers: tuple[Answered, ...]

    def shares(self) -> dict[str, float]:
        """Recall of the first 8 and 32 tokens and of whole answers, and the loss a token; short answers count whole."""
        return _shares(self._table())

    def intervals(self, *, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Of each share the middle 95 % of 2,000 bootstrap draws of titles."""
        generator = np.random.default_rng(seed)
        table = self._table()
        drawn = [_shares(table[:, generator.integers(table.shape[1], size=table.shape[1])]) for _ in range(_NUM_DRAWS)]
        ends = {name: np.quantile([draw[name] for draw in drawn], [0.025, 0.975]) for name in drawn[0]}
        return {name: (float(low), float(high)) for name, (low, high) in ends.items()}

    @property
    def num_tokens(self) -> int:
        """Answer tokens of all records."""
        return sum(len(answer.words) for answer in self.answers)

    @property
    def num_ties(self) -> int:
        """Answer tokens at which two words share the largest logit."""
        return sum(int((answer.margins == 0).sum()) for answer in self.answers)

    def _table(self) -> NDArray[np.float64]:
        """Tokens, right tokens and summed loss; a column a record."""
        columns = [(len(each.words), each.num_right, each.losses.sum()) for each in self.answers]
        return np.array(columns, np.float64).T


def _shares(table: NDArray[np.float64]) -> dict[str, float]:
    num_tokens, num_right, losses = table
    return {
        "first_8": float((num_right >= np.minimum(8, num_tokens)).mean()),
        "first_32": float((num_right >= np.minimum(32, num_tokens)).mean()),
        "whole": float((num_right == num_tokens).mean()),
        "loss": float(losses.sum() / num_tokens.sum()),
    }


class Prober:
    """Asks a base with an adapter; its functions are compiled once for all points."""

    def __init__(self, base: Base, shape: StepShape, parts: Functions) -> None:
        self._base, self._shape, self._parts = base, shape, parts
        self._sizes = base.sizes(min(shape.tokens, base.cos_PD.shape[0]))
        self._merged = {product: stack.clone() for product, stack in base.stacks.items()}
        self._judge = torch.compile(_judge, dynamic=False) if base.norm_C.is_cuda else _judge

    @torch.no_grad()
    def ask(self, adapter: Adapter | None, catalogue: Catalogue, records: Sequence[int], wording: str) -> Recalled:
        """What comes back of these records; of the base alone where there is no adapter."""
        stacks = self._base.stacks
        if adapter is not None:
            merge(adapter, self._base, self._merged)
            stacks = self._merged
        steps = list(cut_into_steps([(record, wording) for record in records], catalogue, self._shape))
        judged = [self._ask(tuple(stacks.values()), step_row(step, catalogue, self._shape)) for step in steps]
        answers = []
        for step, tensors in zip(steps, judged, strict=True):
            words, margins, losses = (each.cpu().numpy() for each in tensors)
            at = 0
            for record, _ in step:
                truth = catalogue.answers[record]
                span = slice(at, at + len(truth))
                wrong = np.flatnonzero(words[span] != truth)
                num_right = int(wrong[0]) if len(wrong) else len(truth)
                answers.append(Answered(words[span], margins[span], losses[span], num_right))
                at = span.stop
        return Recalled(tuple(answers))

    def _ask(self, stacks: tuple[Tensor, ...], row: NDArray[np.int32]) -> tuple[Tensor, Tensor, Tensor]:
        base = self._base
        parts = torch.from_numpy(row).to(base.norm_C.device).split(self._shape.parts)
        x_TC = hidden(base, stacks, parts, sizes=self._sizes, layer=self._parts.layer)
        return self._judge(x_TC, parts[3], parts[4], base.norm_C, base.embedding_VC, base.config.rms_norm_eps)


def _judge(
    x_TC: Tensor, places_A: Tensor, targets_A: Tensor, norm_C: Tensor, embedding_VC: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Each answer token's best word, that word's margin, and the true word's loss."""
    logits_AV = answer_logits(x_TC, places_A, norm_C, embedding_VC, eps)
    target_A = logits_AV.gather(1, targets_A.clamp(min=0)[:, None].long())[:, 0]
    best_A = logits_AV.argmax(1)
    is_best_AV = torch.arange(logits_AV.shape[1], device=best_A.device)[None] == best_A[:, None]
    second_A = torch.where(is_best_AV, float("-inf"), logits_AV).amax(1)
    return best_A, logits_AV.amax(1) - second_A, logits_AV.logsumexp(1) - target_A
