"""The functions take the settings of the commands, do what the commands do, and raise what the commands say."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vitrine
from contract.manifest import read_manifest
from tests.conftest import Prepared
from tests.spark_jobs.catalogues import catalogue, write

ROOT = Path(__file__).resolve().parents[2]
_CPU = vitrine.LaunchTraining(cpu=True)


def test_mistakes_are_raised_with_the_words_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(vitrine.UserError, match=r"unknown setting 'inptu': did you mean 'input'\?"):
        vitrine.prepare(inptu="x.json", output=tmp_path / "out")
    with pytest.raises(vitrine.UserError, match=r"epochs = 0, expected at least 1"):
        vitrine.train(data=tmp_path, run=tmp_path / "run", epochs=0)
    with pytest.raises(vitrine.UserError, match=r"expected settings by name, .* or a PrepareConfig; found 'x\.json'"):
        vitrine.prepare("x.json")  # type: ignore[arg-type]  # what a user may try
    with pytest.raises(vitrine.UserError, match=r"^no such input: /nowhere\.json"):  # found by the command itself
        vitrine.prepare(input="/nowhere.json", output=tmp_path / "out")
    with pytest.raises(vitrine.UserError, match=r"no run in .*/run"):
        vitrine.ask(tmp_path / "run", "-v, what is it?")


def test_a_mistake_takes_one_line_in_a_notebook() -> None:
    assert vitrine.UserError("found a, expected b")._render_traceback_() == ["error: found a, expected b"]


@pytest.mark.spark
@pytest.mark.slow
def test_a_catalogue_is_prepared_with_a_record_of_settings_or_by_name(tmp_path: Path) -> None:
    source = write(tmp_path / "in.json", catalogue(60))
    config = vitrine.PrepareConfig(input=str(source), output=str(tmp_path / "out"), master="local[1]", val_share=0.1)
    made = vitrine.prepare(config)
    assert made.manifest == read_manifest(made.path)
    assert vitrine.prepare(config).dataset_id == made.dataset_id  # nothing to do
    assert vitrine.prepare(config, output=tmp_path / "other", val_share=0.2).dataset_id != made.dataset_id
    assert "<iframe sandbox=" in made._repr_html_()


@pytest.mark.spark
@pytest.mark.slow
def test_lines_are_appended_with_the_settings_of_the_data_set(tmp_path: Path) -> None:
    new = write(tmp_path / "new.json", catalogue(25))
    with pytest.raises(vitrine.UserError, match="there is no finished data set"):
        vitrine.prepare(append=new, output=tmp_path / "out")
    vitrine.prepare(input=write(tmp_path / "old.json", catalogue(20)), output=tmp_path / "out", shard_rows=5)
    assert vitrine.prepare(append=new, output=tmp_path / "out").manifest.rows.input == 45


@pytest.mark.slow
def test_a_run_is_trained_asked_and_measured(
    prepared: Prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"recipe": "seed", "max_length": 128, "tokens_per_step": 512, "engine": "plain"}
    run = vitrine.train(data=prepared.root, run=tmp_path / "run", base=micro_base, launch=_CPU, **sizes)
    assert Path(run.path, "adapter").is_dir()
    lines = capsys.readouterr().err.splitlines()
    for start in ("recipe seed: ", "expected: ", "100%  step ", "reached: "):
        assert any(line.startswith(start) for line in lines), start
    assert run.metrics[-1]["loss"] > 0
    assert "<polyline" in run._repr_html_()
    assert vitrine.recall(run, sample=4).report.seen.records == 4  # type: ignore[union-attr]  # it has seen records
    assert isinstance(vitrine.ask(run, "What is it?", max_new_tokens=4).text, str)
    found = vitrine.evaluate(run, seen=2, unseen=0, max_new_tokens=4)
    assert len(found.evaluation.titles) == 2
    assert found.evaluation.titles[0].title in found._repr_html_()
    assert "There are too few titles to tell" in found._repr_html_()


@pytest.mark.spark
def test_an_interrupt_ends_the_command(tmp_path: Path) -> None:
    source = write(tmp_path / "in.json", catalogue(20_000))
    program = f"import vitrine\nvitrine.prepare(input={str(source)!r}, output={str(tmp_path / 'out')!r})"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    os.kill(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert not (tmp_path / "out" / "manifest.json").exists()
