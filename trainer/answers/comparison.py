"""Answers before and after training beside the truth: RUN/evaluation.json. Imports nothing heavy."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

import msgspec

from contract.errors import UserError
from trainer.runs import names

SEEN: Final = "train"
UNSEEN: Final = "unseen"


class Comparison(msgspec.Struct, frozen=True):
    """One title, asked before and after training."""

    split: str  # SEEN or UNSEEN
    title: str
    truth: str
    before: str
    after: str
    rouge_l_before: float
    rouge_l_after: float


def read_comparisons(run: Path) -> list[Comparison]:
    """The comparisons of the run's evaluation, in order; UserError if they cannot be read."""
    path = run / names.EVALUATION
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Comparison])
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"{path} is not what 'vitrine evaluate' writes: {error}") from error


def mean_rouge_l(comparisons: Sequence[Comparison], *, split: str) -> tuple[int, float, float]:
    """The number of titles of this split, and their mean ROUGE-L before and after training (0 without titles)."""
    group = [comparison for comparison in comparisons if comparison.split == split]
    if not group:
        return 0, 0.0, 0.0
    return len(group), fmean(each.rouge_l_before for each in group), fmean(each.rouge_l_after for each in group)
