"""Evaluations as a run keeps them, with scores of choice."""

import json
from pathlib import Path
from typing import TypeAlias

Pair: TypeAlias = tuple[float, float]  # ROUGE-L before and after training


def write_evaluation(run: Path, *, seen: Pair, unseen: Pair) -> None:
    """Writes RUN/evaluation.json with one seen and one unseen title."""
    texts = {"title": "Lamp", "truth": "A lamp.", "before": "", "after": "A lamp."}
    comparisons = [
        {**texts, "split": split, "rouge_l_before": before, "rouge_l_after": after}
        for split, (before, after) in (("train", seen), ("unseen", unseen))
    ]
    (run / "evaluation.json").write_text(json.dumps(comparisons))
