"""The demo's verdict is what its exit code says."""

import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from contract.keys import split_of
from contract.text.clean import clean
from contract.text.profiles import find_profile
from launch.demo import CATALOGUE, CONFIGS, DemoConfig, run
from tests.launch.evaluations import Pair, write_evaluation


@pytest.mark.parametrize(
    ("seen", "unseen", "failure"),
    [
        ((0.1, 0.99), (0.1, 0.1), None),
        ((0.2, 0.95), (0.1, 0.2), None),
        ((0.21, 1.0), (0.1, 0.1), "seen titles 0.210 before training (at most 0.2)"),
        ((0.1, 0.94), (0.1, 0.1), "seen titles 0.940 after it (at least 0.95)"),
        ((0.1, 1.0), (0.1, 0.21), "unseen titles 0.100 and 0.210 (at most 0.1 more)"),
    ],
)
def test_a_model_that_did_not_learn_is_no_success_and_the_bound_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seen: Pair, unseen: Pair, failure: str | None
) -> None:
    def scored(argv: Sequence[str]) -> int:
        if argv[0] == "evaluate":
            (tmp_path / "run").mkdir()
            write_evaluation(tmp_path / "run", seen=seen, unseen=unseen)
        return 0

    assert run(DemoConfig(output=str(tmp_path)), scored) == (1 if failure else 0)
    verdict = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("The model"))
    assert verdict.startswith("The model did NOT learn" if failure else "The model learned")
    assert failure is None or f"ROUGE-L of {failure}; " in verdict


def test_a_step_that_fails_ends_the_demo_with_its_code(tmp_path: Path) -> None:
    assert run(DemoConfig(output=str(tmp_path)), lambda argv: 2 if argv[0] == "train" else 0) == 2


def test_the_catalogue_has_enough_products_of_each_kind_and_some_lines_to_reject() -> None:
    settings = tomllib.loads((CONFIGS / "demo-prepare.toml").read_text())
    profile = find_profile(settings["text_profile"])
    shares = {"val_share": settings["val_share"], "test_share": settings["test_share"]}
    lines = CATALOGUE.read_text().splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    titles = [clean(each["title"], profile) for each in records if len(str(each.get("content", ""))) > 30]
    splits = Counter(split_of(title, **shares, seed=0) for title in set(titles) - {""})

    assert splits["train"] >= 24
    assert splits["val"] + splits["test"] >= 5
    assert len(lines) - splits.total() >= 8
