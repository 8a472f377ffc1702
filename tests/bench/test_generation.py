"""The comparison of a run's recall with generation, from the command line."""

import json
from pathlib import Path

import pytest

from bench.train.generation import main
from tests.trainer.configs import small_config
from trainer.train import train


def test_a_run_is_compared_in_one_command(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here of a run that has learnt next to nothing; tests/trainer/recall/test_generation.py has a real one."""
    run, out = tmp_path / "run", tmp_path / "generation.json"
    train(small_config(prepared, micro_base, run, max_steps=2))
    capsys.readouterr()

    main(["--run", str(run), "--titles", "5", "--dtype", "fp32", "--batch", "3", "--out", str(out)])

    found, printed = json.loads(out.read_text()), json.loads(capsys.readouterr().out)
    for name in ("seen", "unseen"):
        assert (found[name]["titles"], found[name]["different"], found[name]["differences"]) == (5, 0, [])
        assert found[name]["whole_by_forward"] == found[name]["whole_by_generation"]
        assert printed[name]["answer_tokens"] == found[name]["answer_tokens"] > 0
    assert (found["engine"], found["dtype"]) == ("plain", "fp32")
