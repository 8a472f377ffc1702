"""The demo's verdict is what its exit code says."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from launch.demo import DemoConfig, run


@pytest.mark.parametrize(("before", "after", "code"), [(0.01, 0.8, 0), (0.15, 0.5, 0), (0.01, 0.49, 1), (0.16, 0.8, 1)])
def test_a_model_that_did_not_learn_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: float, after: float, code: int
) -> None:
    def scored(argv: Sequence[str]) -> int:
        if argv[0] == "evaluate":
            texts = {"split": "train", "title": "Lamp", "truth": "A lamp.", "before": "", "after": "A lamp."}
            comparison = {**texts, "rouge_l_before": before, "rouge_l_after": after}
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "evaluation.json").write_text(json.dumps([comparison]))
        return 0

    assert run(DemoConfig(output=str(tmp_path)), scored) == code
    assert f"{before:.3f} before" in capsys.readouterr().out


def test_a_step_that_fails_ends_the_demo_with_its_code(tmp_path: Path) -> None:
    assert run(DemoConfig(output=str(tmp_path)), lambda argv: 2 if argv[0] == "train" else 0) == 2
