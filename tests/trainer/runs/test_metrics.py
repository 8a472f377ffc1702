"""Where the metrics of a run go."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.runs.metrics import StepMetrics, json_lines, printed_lines, read_metrics

STEP = StepMetrics(
    step=1,
    epoch=0,
    share_done=0.25,
    loss=2.0,
    grad_norm=1.0,
    learning_rate=1e-3,
    records=3,
    tokens=60,
    answer_tokens=40,
    cut_records=0,
    cut_tokens=0,
    skipped_records=0,
    step_s=0.5,
    wait_s=0.1,
    peak_memory_bytes=None,
)


def test_a_run_that_goes_on_has_each_step_once(tmp_path: Path) -> None:
    for last_step, steps in ((0, (1, 2, 3)), (2, (3, 4))):
        sink = json_lines(tmp_path / "metrics.jsonl", last_step=last_step)
        for step in steps:
            sink(replace(STEP, step=step, loss=step + last_step))

    assert [(line["step"], line["loss"]) for line in read_metrics(tmp_path)] == [(1, 1), (2, 2), (3, 5), (4, 6)]


def test_a_person_reads_one_step_of_several(capsys: pytest.CaptureFixture[str]) -> None:
    sink = printed_lines(every=2)
    for step in (1, 2, 3):
        sink(replace(STEP, step=step))
    printed_lines(every=1)(replace(STEP, share_done=1.0, peak_memory_bytes=3 * 2**30))

    assert capsys.readouterr().out == (
        " 25%  step 2  loss 2.0000  lr 1.00e-03  120 tokens/s\n"
        "100%  step 1  loss 2.0000  lr 1.00e-03  120 tokens/s  3.0 GiB\n"
    )
