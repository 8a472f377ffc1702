"""Evaluations as a run keeps them, with scores of choice."""

from pathlib import Path
from typing import TypeAlias

from tests.trainer.evaluation.evaluations import answer, evaluation, title
from trainer.runs import names
from trainer.runs.json_files import write_json

Pair: TypeAlias = tuple[float, float]  # ROUGE-L before and after training


def write_evaluation(run: Path, *, seen: Pair, unseen: Pair) -> None:
    """Writes RUN/evaluation.json with one seen and one unseen title."""
    titles = [
        title(number, kind, before=answer(rouge_l=before), after=answer(rouge_l=after))
        for number, (kind, (before, after)) in enumerate({"seen": seen, "unseen": unseen}.items())
    ]
    write_json(run / names.EVALUATION, evaluation(titles))
