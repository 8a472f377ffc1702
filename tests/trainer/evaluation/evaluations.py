"""Evaluations of titles of choice."""

from typing import Any

from trainer.evaluation.schema import Answer, Evaluation, Kind, Source, Title
from trainer.evaluation.summary import group, judge


def answer(text: str = "A lamp.", **changes: Any) -> Answer:
    """An answer that has nothing right and ends by itself."""
    scores = {"tokens": 3, "ends": True, "rouge_l": 0.0, "chrf": 0.0, "repetition": 0.0, "loss": 5.0, "right": 0}
    return Answer(text=text, **(scores | changes))


def recalled(text: str = "A lamp.", **changes: Any) -> Answer:
    """An answer that is the true text."""
    return answer(text, **({"rouge_l": 1.0, "chrf": 1.0, "loss": 0.01, "right": 4} | changes))


def title(number: int = 0, kind: Kind = "seen", **changes: Any) -> Title:
    """A title whose answers are wrong before and after training, unless something else is given."""
    name = f"Lamp {number}"
    made = {
        "kind": kind,
        "question": f"What is {name}?",
        "title": name,
        "truth": "A lamp.",
        "truth_tokens": 4,
        "is_cut": False,
        "has_trained_text": False,
        "source": Source(f"uid-{number}", "data", "train/part-00000-00000000.parquet", number),
        "before": answer(),
        "after": answer(),
    }
    return Title(**(made | changes))


def evaluation(titles: list[Title], **changes: Any) -> Evaluation:
    """The evaluation of these titles, with their means and verdict."""
    seen, unseen = group(titles, "seen"), group(titles, "unseen")
    made = {
        "created_at": "2026-01-01T00:00:00+00:00",
        "run": "run",
        "base": "tiny",
        "data": ["data"],
        "dataset_ids": ["0" * 32],
        "device": "CPU",
        "max_new_tokens": 64,
        "seconds": 1.0,
        "verdict": judge(titles, seen=seen, unseen=unseen),
        "seen": seen,
        "unseen": unseen,
        "titles": titles,
    }
    return Evaluation(**(made | changes))
