"""Evaluations as a run keeps them, with scores of choice."""

from pathlib import Path
from typing import TypeAlias

from trainer.evaluation.schema import Answer, Evaluation, Group, Paired, Source, Title, Verdict
from trainer.runs import names
from trainer.runs.json_files import write_json

Pair: TypeAlias = tuple[float, float]  # ROUGE-L before and after training


def write_evaluation(run: Path, *, seen: Pair, unseen: Pair) -> None:
    """Writes RUN/evaluation.json with one seen and one unseen title."""
    kinds = {"seen": seen, "unseen": unseen}
    groups = {kind: Group(1, 1, {"rouge_l": Paired(*pair, None, None, "none")}) for kind, pair in kinds.items()}
    write_json(run / names.EVALUATION, evaluation([_title(kind, *pair) for kind, pair in kinds.items()], **groups))


def evaluation(titles: list[Title], *, seen: Group | None = None, unseen: Group | None = None) -> Evaluation:
    """An evaluation of these titles, with a verdict that says nothing."""
    return Evaluation(
        created_at="2026-01-01T00:00:00+00:00",
        run="run",
        base="tiny",
        data=["data"],
        dataset_ids=["0" * 32],
        device="CPU",
        max_new_tokens=64,
        seconds=1.0,
        verdict=Verdict("too_few", None, None),
        seen=seen,
        unseen=unseen,
        titles=titles,
    )


def _title(kind: str, before: float, after: float) -> Title:
    answers = [Answer("A lamp.", 3, True, rouge_l, rouge_l, 0.0, 1.0, 0) for rouge_l in (before, after)]
    return Title(
        kind=kind,
        question="What is Lamp?",
        title="Lamp",
        truth="A lamp.",
        truth_tokens=4,
        is_cut=False,
        source=Source("1", "data", "train/part-00000-00000000.parquet", 0),
        before=answers[0],
        after=answers[1],
    )
