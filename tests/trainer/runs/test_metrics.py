"""Where the metrics of a run go."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replaced

from trainer.runs.metrics import StepMetrics, json_lines, printed_duration, printed_lines, read_metrics, read_recalls
from trainer.runs.recalls import Group, Neutral, Probed, Share

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

GROUP = Group(
    records=50,
    titles=49,
    first_8=Share(0.9, 0.8, 0.95),
    first_32=Share(0.34, 0.2, 0.4),
    whole=Share(0.12, 0.1, 0.2),
    answer_tokens=7_000,
    loss_before=3.0,
    loss_after=1.0,
    cut_records=0,
    cut_recalled=0,
)
PROBED = Probed(step=2, seconds=0.5, seen=GROUP, unseen=None, neutral={"English": Neutral(600, None, 2.5)})


def test_recall_has_lines_of_its_own_among_those_of_steps(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    before, later = replaced(PROBED, step=0), replaced(PROBED, step=4)
    for last_step, lines in ((0, (before, STEP, replace(STEP, step=2), PROBED, replace(STEP, step=3), later)), (3, ())):
        sink = json_lines(path, last_step=last_step)
        for line in lines:
            sink(line)

    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3]
    assert read_recalls(tmp_path) == [before, PROBED]
    assert [set(json.loads(line)) for line in path.read_text().splitlines() if "recall" in line] == [
        {"step", "recall"}
    ] * 2


def test_a_printed_line_has_the_recall_that_was_measured_last(capsys: pytest.CaptureFixture[str]) -> None:
    sink = printed_lines(every=1)
    for line in (replaced(PROBED, step=0), STEP, PROBED, STEP, STEP):
        sink(line)

    plain = " 25%  step 1  loss 2.0000  lr 1.00e-03  120 tokens/s\n"
    told = plain.replace("\n", "  recall 12% whole, 34% first 32\n")
    assert capsys.readouterr().out == plain + told + told


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


def test_the_time_that_is_left_is_printed_once_and_without_the_first_step(capsys: pytest.CaptureFixture[str]) -> None:
    sink = printed_duration()
    for number in range(1, 12):
        sink(replace(STEP, step=number, share_done=number / 1_000, step_s=100.0 if number == 1 else 0.2))
        sink(PROBED)
    assert capsys.readouterr().out == "about 3m19s of training to come, at the speed of this machine\n"
