"""RUN/expectation.json: how many descriptions were expected to come back, and later how many did."""

from dataclasses import asdict
from pathlib import Path

from trainer.recipes.advice import Plan
from trainer.runs import names
from trainer.runs.json_files import write_json
from trainer.runs.recalls import Report


def write_expectation(run: Path, plan: Plan, *, report: Report | None = None) -> None:
    """Writes the shares of whole answers that are expected and, once the run has ended, the one that was measured."""
    reached = report.seen.whole if report and report.seen else None
    document = {"records": plan.catalogue.num_records, "expected": asdict(plan.expected()), "reached": reached}
    write_json(run / names.EXPECTATION, document)
