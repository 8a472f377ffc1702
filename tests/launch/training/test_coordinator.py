"""`vitrine train --parts`: each part trained alone to the same adapter, however often and wherever it is stopped."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from command.settings import load_settings
from contract.errors import UserError
from contract.keys import part_of
from contract.manifest import read_manifest
from launch import cli
from launch.training import coordinator
from launch.training.pool import Job
from tests.conftest import made_up_pairs
from tests.spark_jobs.processes import IS_LINUX
from tests.trainer.audits import rows_by_epoch
from tests.trainer.launches import Training, launch
from trainer.answers.answer import ask
from trainer.answers.answerer import load_answerer
from trainer.answers.settings import AskConfig, EvaluateConfig
from trainer.config import RecallConfig, TrainConfig
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.schema import read_evaluation
from trainer.parts.manifest import part_data, read_parts
from trainer.recall.recall import recall
from trainer.runs.checkpoint import find_last
from trainer.runs.names import is_of_parts
from trainer.runs.recalls import read_report
from trainer.train import main as train_main

SIZES = {
    "recipe": "seed",
    "max_length": 128,
    "tokens_per_step": 512,
    "learning_rate": 5e-3,
    "epochs": 2,
    "save_every": 2,
}
OPTIONS = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]


class PoolInThisProcess:
    """Runs each training in this process, where torch is loaded already."""

    def __init__(self, _places, *, on_begin, on_end) -> None:
        self._on_begin, self._on_end = on_begin, on_end

    def run(self, jobs: list[Job]) -> None:
        for number, job in enumerate(jobs):
            self._on_begin(number)
            self._on_end(number, train_main(job.argv[3:]))


@pytest.fixture(name="_here")
def _pool_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "Pool", PoolInThisProcess)


@pytest.fixture(name="whole", scope="module")
def _whole(prepared, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in 2 parts that never stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coordinator, "Pool", PoolInThisProcess)
        assert train(prepared, micro_base, run, "--parts", "2", "--ledger", "--no-recall") == 0
    return run


def train(prepared, base: Path, run: Path, *options: str) -> int:
    return cli.main(["train", "--data", prepared.root, "--base", str(base), "--run", str(run), *OPTIONS, *options])


def adapters(run: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(run.glob("part-*/adapter/adapter_model.safetensors"))]


def states(run: Path) -> list[str]:
    return [each.state for each in read_parts(run).runs]


def test_the_parts_together_train_each_record_once_an_epoch(whole: Path, prepared) -> None:
    info = read_parts(whole)
    uids: Counter[str] = Counter()
    for part, run in enumerate(info.runs):
        manifest = read_manifest(str(part_data(whole / "part-data", part, 0)))
        files = [part_data(whole / "part-data", part, 0) / shard.path for shard in manifest.splits["train"]]
        records = [record for file in files for record in pq.read_table(file).to_pylist()]
        assert {part_of(record["title"], 2) for record in records} == {part}
        assert run.records == len(records)
        for rows in rows_by_epoch(whole / run.folder).values():
            uids.update(records[row]["uid"] for row in rows.elements())

    assert uids == {f"train{shard}-{row}": 2 for shard in range(3) for row in range(100)}
    assert info.dataset_ids == [prepared.manifest.dataset_id]
    assert states(whole) == ["trained"] * 2
    assert len(set(adapters(whole))) == 2
    assert [run.recipe["lora_rank"] for run in info.runs] == [16, 16]  # as the recipe decided


@pytest.mark.usefixtures("_here")
def test_what_the_parts_remember_is_joined(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the end of training, and when it is measured again."""
    run = tmp_path / "run"

    def records() -> list[int]:
        reports = [read_report(each) for each in (run, run / "part-000", run / "part-001")]
        return [report.seen.records for report in reports if report.seen]

    assert train(prepared, micro_base, run, "--parts", "2", "--max-steps", "1", "--limit", "40") == 0
    at_end = records()
    assert at_end[0] == at_end[1] + at_end[2] > 0
    expectation = json.loads((run / "expectation.json").read_text())
    assert expectation["records"] == 40
    assert expectation["reached"] == json.loads((run / "recall.json").read_text())["seen"]["whole"]
    assert "expected of all parts were " in capsys.readouterr().out

    recall(RecallConfig(run=str(run), sample=5, overwrite=True))
    assert records() == [6, 3, 3]
    out, err = capsys.readouterr()
    assert "of 6 records" in out
    assert [line for line in err.splitlines() if line.startswith("part-")] == ["part-000 (1/2)", "part-001 (2/2)"]


def test_each_part_is_asked_and_evaluated_by_its_own_adapter(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(EvaluateConfig(run=str(whole), seen=5, unseen=4, max_new_tokens=4))
    asked = read_evaluation(whole).titles
    titles = [title for title, _ in made_up_pairs(312)]
    assert "5 seen titles" in capsys.readouterr().out
    assert {each.title for each in asked if each.kind == "seen"} <= set(titles[:300])
    assert {each.title for each in asked if each.kind == "unseen"} <= set(titles[300:])
    assert [sum(each.kind == kind for each in asked) for kind in ("seen", "unseen")] == [5, 4]
    assert {part_of(each.title, 2) for each in asked if each.kind == "seen"} == {0, 1}

    of_parts = [load_answerer(whole / run.folder) for run in read_parts(whole).runs]
    for each in asked:
        assert of_parts[part_of(each.title, 2)].answer(each.title, max_new_tokens=4) == each.after.text
    ask(AskConfig(run=str(whole), question=asked[0].title, as_title=True, json=True, max_new_tokens=4))
    assert json.loads(capsys.readouterr().out)["answer"] == asked[0].after.text

    with pytest.raises(UserError, match="is a run in parts, and the data set of each part lies in"):
        evaluate(EvaluateConfig(run=str(whole), data=("elsewhere",)))


def wait_for_a_checkpoint(training: Training, run: Path) -> None:
    while not find_last(run):
        assert training.process.poll() is None, training.text()
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.skipif(not IS_LINUX, reason="looks for processes as Linux shows them")
def test_parts_killed_and_resumed_on_another_number_of_processes_give_the_same_adapters(
    whole: Path, prepared, micro_base: Path, tmp_path: Path
) -> None:
    """To the last bit: here killed at work on the first part, and resumed with the other beside it."""
    run = tmp_path / "run"
    options = ["train", "--data", prepared.root, "--base", str(micro_base), "--run", str(run), *OPTIONS]
    training = launch("launch.cli", *options, "--parts=2", "--num-processes=1", "--cpu", "--no-recall", run=run)
    wait_for_a_checkpoint(training, run / "part-000")
    os.kill(training.process.pid, signal.SIGKILL)
    training.wait_for_nobody(within_s=30)  # no part outlives the command
    training.process.wait()
    assert states(run) == ["training", "waiting"]
    assert not (run / "part-000" / "adapter").exists()

    training = launch("launch.cli", "train", "--run", str(run), "--resume", "--num-processes=2", "--cpu", run=run)
    assert training.finish() == 0, training.text()
    text = training.text()
    assert f"part-000 (1/2): going on from {run}/part-000/checkpoints/step-" in text
    assert f"2 of 2 parts are trained: {run}/parts.json" in text
    assert adapters(run) == adapters(whole)
    assert states(run) == ["trained"] * 2


@pytest.mark.usefixtures("_here")
def test_a_part_that_fails_stops_no_other_and_a_resume_trains_what_is_left(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train(prepared, micro_base, run, "--parts", "2", "--max-steps", "1", "--no-recall") == 0
    shutil.rmtree(run / "part-001" / "adapter")
    state = run / "part-001" / "checkpoints" / "step-000001" / "state.json"
    state.write_text(state.read_text().replace('"step": 1', '"step": "one"'))

    resume = ["train", "--run", str(run), "--resume", "--max-steps", "2"]
    capsys.readouterr()
    assert cli.main(resume) == 2
    out, err = capsys.readouterr()
    assert "1 of 2 parts are trained" in out
    last = err.splitlines()[-1]
    assert last.startswith("error: part-001 failed, as the lines after these names say; mend that, then go on with")
    assert states(run) == ["trained", "failed"]

    shutil.rmtree(run / "part-001")
    assert cli.main(resume) == 0
    assert "300 records in 2 parts, 1 at once; 1 to train" in capsys.readouterr().out
    assert states(run) == ["trained"] * 2
    assert all(find_last(run / part).name == "step-000002" for part in ("part-000", "part-001"))


@pytest.mark.usefixtures("_here")
def test_a_copy_holds_all_parts_and_a_resume_elsewhere_divides_the_data_again(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    options = ("--parts", "2", "--no-recall", "--max-steps", "2", "--copy-to", str(copy))
    assert train(prepared, micro_base, run, *options) == 0
    whole = adapters(run)
    names = {path.relative_to(copy).as_posix().split("/")[0] for path in copy.rglob("*") if path.is_file()}
    assert names == {"parts.json", "part-000", "part-001"}  # not the data: it follows from the catalogue
    assert train(prepared, micro_base, tmp_path / "other", *options) == 2
    assert f"{copy} holds a run already" in capsys.readouterr().err

    shutil.rmtree(run)
    shutil.rmtree(copy / "part-001")
    assert cli.main(["train", "--run", str(run), "--copy-to", str(copy), "--resume"]) == 0
    assert "1 to train" in capsys.readouterr().out
    assert adapters(run) == adapters(copy) == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts=2"], "holds a run already: give --resume to go on with it, --overwrite to replace it"),
        ([], "holds a run in parts: give another folder, or --overwrite to replace it"),
        (["--resume", "--parts=3"], "cannot be resumed: parts was 2 and is 3"),
        (["--resume", "--learning-rate=0.1"], "cannot be resumed: learning_rate was 0.005 and is 0.1"),
        (["--parts=2", "--overwrite", "--base=tiny"], "with the base 'tiny', which each part would make anew"),
        (["--parts=100", "--overwrite"], "of them would have none of the 300 records"),
        (["--parts=2", "--overwrite", "--", "--main_process_port=1"], "no part needs 'accelerate launch'"),
    ],
)
@pytest.mark.usefixtures("_here")
def test_a_mistake_is_one_line_and_changes_nothing(
    whole: Path, prepared, micro_base: Path, options: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    if options:
        assert train(prepared, micro_base, whole, *options) == 2
    else:
        assert train_main(["--data", prepared.root, "--base", str(micro_base), "--run", str(whole), *OPTIONS]) == 2

    assert message in capfd.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("_here")
def test_what_a_run_did_not_write_stays(prepared, micro_base: Path, tmp_path: Path) -> None:
    """Also where its name is that of a part."""
    (tmp_path / "part-000").mkdir()
    assert train(prepared, micro_base, tmp_path, "--parts", "2", "--overwrite") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["part-000"]


@pytest.mark.usefixtures("_here")
def test_a_refused_number_of_parts_leaves_no_folder(prepared, micro_base: Path, tmp_path: Path) -> None:
    assert train(prepared, micro_base, tmp_path / "run", "--parts", "100") == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("_here")
def test_a_run_is_replaced_by_one_of_another_form(whole: Path, prepared, micro_base: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    short = ("--overwrite", "--max-steps", "1", "--no-recall")
    assert train(prepared, micro_base, run, *short, "--parts", "2") == 0
    assert sorted(path.name for path in run.iterdir()) == ["part-000", "part-001", "part-data", "parts.json"]

    command = ["--data", prepared.root, "--base", str(micro_base), "--run", str(run), *OPTIONS, *short]
    assert train_main(command) == 0
    assert (run / "adapter").is_dir()
    assert [path.name for path in run.iterdir() if is_of_parts(path.name)] == []

    assert train(prepared, micro_base, run, *short, "--parts", "2") == 0
    assert sorted(path.name for path in run.iterdir()) == ["part-000", "part-001", "part-data", "parts.json"]


def test_a_dry_run_prints_the_training_of_each_part(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train(prepared, micro_base, run, "--parts", "2", "--limit", "50", "--dry-run") == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert f"-m trainer.train --data={run}/part-data/part-001/0 --run={run}/part-001 " in lines[1]
    assert "parts" not in " ".join(each for each in lines[1].split() if each.startswith("--p"))
    assert not run.exists()


def test_a_part_is_an_ordinary_training_with_the_weights_of_its_data() -> None:
    values = {"data": ["a:0.7", "s3://b/c"], "run": "r", "parts": 8, "limit": 10, "copy_to": "s3://b/copy"}
    config = load_settings(TrainConfig, file=None, overrides=values)
    part = coordinator.part_config(config, 5)

    assert part.data == ("r/part-data/part-005/0:0.7", "r/part-data/part-005/1")
    assert (part.run, part.copy_to, part.parts, part.limit) == ("r/part-005", "s3://b/copy/part-005", 1, None)


def test_places_are_gpus_or_shares_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [place["CUDA_VISIBLE_DEVICES"] for place in coordinator.places_of(["4", "6"], num=3)] == ["4", "6", "4"]

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(coordinator, "count_cores", lambda: 16)
    assert [place["OMP_NUM_THREADS"] for place in coordinator.places_of([], num=5)] == ["3"] * 5


def test_what_a_run_knows_of_its_parts_can_be_read_by_any_program(whole: Path) -> None:
    document = json.loads((whole / "parts.json").read_text())

    assert document["rule"].startswith("part = (first 8 bytes of the SHA-256 of the cleaned title in UTF-8")
    assert [(whole / each["folder"] / "adapter" / "adapter_config.json").is_file() for each in document["runs"]] == [
        True
    ] * 2
