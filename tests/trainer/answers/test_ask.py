"""What a user gets who asks: the title, and an answer in the language of the question where it was trained."""

import json
from pathlib import Path

import pytest

from tests.trainer.configs import small_config
from trainer.answers.answer import ask
from trainer.answers.answerer import Answerer
from trainer.answers.settings import AskConfig
from trainer.generation.request import Request
from trainer.train import train


@pytest.fixture(name="run", scope="module")
def _run(prepared, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained a step in all wordings."""
    run = tmp_path_factory.mktemp("runs") / "mixed"
    train(small_config(prepared, micro_base, run, wording="mixed", max_length=256, max_steps=1))
    return run


@pytest.mark.parametrize(
    ("question", "as_title", "title", "wording"),
    [
        ("Tell me about “Red Kettle”, please", False, "Red Kettle", "what-is"),
        ("Me fale sobre Red Kettle.", False, "Red Kettle", "o-que-e"),
        ("Red Kettle", False, "Red Kettle", "what-is"),
        ("What is Red Kettle?", True, "What is Red Kettle", "what-is"),
    ],
)
def test_the_title_is_printed_beside_the_answer(
    run: Path,
    question: str,
    as_title: bool,
    title: str,
    wording: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []
    request = Answerer.request

    def recorded(answerer: Answerer, title: str, **options) -> Request:
        asked.append((title, options["wording"]))
        return request(answerer, title, **options)

    monkeypatch.setattr(Answerer, "request", recorded)
    config = {"run": str(run), "question": question, "as_title": as_title, "max_new_tokens": 3}

    ask(AskConfig(**config))
    printed = capsys.readouterr()
    assert f"title: {title}\n" in printed.err
    ask(AskConfig(**config, json=True))
    found = json.loads(capsys.readouterr().out)
    assert (found["question"], found["title"]) == (question, title)
    assert found["answer"] == printed.out.strip()
    assert asked == [(title, wording)] * 2
