"""An evaluation of a real base: answers are those that each title gets alone, and recall is what they give back."""

import json
from pathlib import Path

import pytest
import torch

from contract.errors import UserError
from tests.conftest import write_data_set
from trainer.answers.answerer import load_answerer
from trainer.answers.settings import EvaluateConfig
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.schema import read_evaluation
from trainer.evaluation.summary import comes_back
from trainer.generation.generate import generate
from trainer.runs import names

pytestmark = pytest.mark.slow

TRAINED = [
    ("Enamel Coffee Pot", "White enamel over steel, with a wooden grip."),
    ("Cesto de palha", "Trançado à mão em palha de milho, com tampa."),
    ("Lamp", "A small lamp for the desk."),
    ("Oak Table", "Seats six, and folds away behind a door."),
    ("Wool Scarf", "Two metres of grey lambswool."),
    ("Brass Bell", "Rings clearly, and never needs oil."),
]
OTHERS = [("Paper Kite", "Flies in the lightest wind."), ("Tin Whistle", "In the key of D, with six holes.")]


@pytest.fixture(name="run", scope="module")
def _run(tmp_path_factory: pytest.TempPathFactory, smollm2: str) -> Path:
    """A run on the real base, which has trained six short records until most of them come back."""
    from launch.cli import main

    root = tmp_path_factory.mktemp("evaluated")
    write_data_set(root / "data", TRAINED, val=OTHERS[:1], test=OTHERS[1:])
    options = ("--base", "smollm2", "--wording", "what-is", "--epochs", "20", "--max-length", "128", "--cpu")
    argv = ["train", "--data", str(root / "data"), "--run", str(root / "run"), *options, "--no-recall"]
    assert main(argv) == 0
    torch.set_num_threads(2)
    evaluate(EvaluateConfig(run=str(root / "run"), max_new_tokens=24))
    return root / "run"


def test_answers_are_token_for_token_those_of_one_title_at_a_time(run: Path) -> None:
    answerer, evaluation = load_answerer(run), read_evaluation(run)
    assert len(evaluation.titles) == 8

    for title in evaluation.titles:
        for is_before, answer in ((True, title.before), (False, title.after)):
            request = answerer.request(title.title, max_new_tokens=24, is_before=is_before)
            (alone,) = generate(answerer.batch(num_slots=1), [request])
            assert (answer.text, answer.tokens) == (alone.text.strip(), len(alone.token_ids))
            assert answer.ends == (alone.finish_reason == "stop")


def test_what_a_forward_pass_says_comes_back_is_what_generation_gives_back(run: Path) -> None:
    evaluation = read_evaluation(run)
    whole = [title for title in evaluation.titles if comes_back(title.after, title)]

    assert evaluation.verdict.learned == "remembers"
    assert len(whole) >= 3
    for title in evaluation.titles:
        assert (title in whole) == (title.after.ends and title.after.text == title.truth)
        assert not comes_back(title.before, title)
        assert title.after.loss < title.before.loss or title.kind == "unseen"


def test_each_title_names_its_source(run: Path) -> None:
    titles = {title.title: title for title in read_evaluation(run).titles}

    assert {name: titles[name].truth for name, _ in TRAINED} == dict(TRAINED)
    for number, (name, _) in enumerate(TRAINED):
        source = titles[name].source
        assert (source.uid, source.row) == (f"train0-{number}", number)
        assert source.shard.startswith("train/")
    assert [titles[name].source.uid for name, _ in OTHERS] == ["val0-0", "test0-0"]
    assert titles["Lamp"].question == "What is Lamp?"


def test_the_command_prints_a_line_for_programs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(EvaluateConfig(run=str(run), seen=5, unseen=0, max_new_tokens=4, json=True))
    printed = json.loads(capsys.readouterr().out)

    assert printed["verdict"]["learned"] == "remembers"
    assert printed["seen"]["titles"] == 5
    assert printed["titles"] == []
    assert printed["unseen"] is None
    assert len(read_evaluation(run).titles) == 5


def test_what_another_version_wrote_is_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / names.EVALUATION).write_text("[]")
    with pytest.raises(UserError, match="is not what this version of 'vitrine evaluate' writes"):
        read_evaluation(tmp_path)
    with pytest.raises(UserError, match=names.EVALUATION):
        read_evaluation(tmp_path / "nowhere")
