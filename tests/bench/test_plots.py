"""The committed plots are those of the results, any reader can draw them, and a run's folder gives its curve."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.figures import RESULTS
from bench.learn.peers.join import our_run
from bench.learn.plots.__main__ import IMAGES, images
from bench.learn.plots.charts import soonest
from bench.learn.plots.svg import Axis

DRAWN = {path.name: text for path, text in images()}
SVG = "{http://www.w3.org/2000/svg}"


def test_the_committed_images_are_those_of_the_results() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in IMAGES.iterdir()}

    assert sorted(committed) == sorted(DRAWN)
    old = [name for name, text in DRAWN.items() if committed[name] != text]
    assert not old, f"run: python -m bench.learn.plots ({', '.join(old)} of other results)"


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_a_plot_is_well_formed_and_lies_within_its_paper(name: str) -> None:
    root = ElementTree.fromstring(DRAWN[name])
    _, _, width, height = map(float, root.attrib["viewBox"].split())

    assert root.findtext(f"{SVG}title")
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")
    for tag, across, down in (("circle", "cx", "cy"), ("text", "x", "y"), ("rect", "x", "y")):
        for each in root.iter(f"{SVG}{tag}"):
            assert 0 <= float(each.get(across, "0")) < width
            assert 0 <= float(each.get(down, "0")) < height


def test_a_logarithmic_axis_gives_equal_factors_equal_room() -> None:
    axis = Axis(label="", ticks=(1, 10, 100), texts=("1", "10", "100"), is_log=True)

    assert [axis.share(value) for value in (0.5, 1, 10, 100, 500)] == pytest.approx([0, 0, 0.5, 1, 1])


def test_a_run_is_read_with_steps_that_a_resume_made_twice(tmp_path: Path) -> None:
    def group(share: float) -> dict[str, object]:
        interval = {"value": share, "low": share, "high": share}
        return {"first_8": interval, "first_32": interval, "whole": interval, "loss_after": 1 - share, "records": 5}

    def probe(step: int, share: float) -> dict[str, object]:
        return {"step": step, "recall": {"seen": group(share), "unseen": group(0)}}

    def step(number: int, seconds: float) -> dict[str, float]:
        return {"step": number, "step_s": seconds, "records": 5, "tokens": 100}

    lines = [probe(0, 0), step(1, 9), step(2, 9), step(2, 2), probe(2, 0.8), step(3, 2), step(4, 2), probe(4, 1)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = {"trained_records": 10, "seen": group(1), "unseen": group(0), "bits": None, "neutral": {}, "wordings": {}}
    (tmp_path / "recall.json").write_text(json.dumps(report))
    names = ("recipe", "epochs", "tokens_per_step", "learning_rate", "adam_beta2", "lora_rank", "lora_alpha", "wording")
    config = {"config": dict.fromkeys((*names, "parts")), "versions": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))

    run = our_run("run", tmp_path)

    assert [(point["exposures"], point["train_s"]) for point in run["curve"]] == [(0, 0), (1, 11), (2, 15)]
    assert run["train_s"] == 15
    assert run["s_to_90"] == 13  # half-way from 80 % at 11 s to all at 15 s
    assert run["after"]["seen"]["interval"] == [1, 1]
    assert not run["is_stopped"]

    (tmp_path / "recall.json").unlink()
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, [probe(0, 0), probe(2, 0.8)])))
    stopped = our_run("run", tmp_path)

    assert stopped["is_stopped"]
    assert "train_s" not in stopped
    assert [point["step"] for point in stopped["curve"]] == [0, 2]
    assert stopped["after"]["seen"]["whole"] == 0.8


@pytest.mark.parametrize("name", ["README.md", "README.pt-BR.md"])
def test_the_readme_has_the_figures_of_the_results(name: str) -> None:
    """Seconds and whole answers of our runs and of each peer's best."""
    text = (Path(__file__).parents[2] / name).read_text(encoding="utf-8").replace(",", ".")
    defaults = json.loads((RESULTS / "learn-defaults-h200.json").read_text())["ours"]
    together = json.loads((RESULTS / "learn-peers-h200.json").read_text())
    shown = [
        *(run for run in defaults if run["settings"]["wording"] == "mixed" and run["trained_records"] != 4_000),
        *together["ours"],
        *(soonest(peer["finals"]) for peer in together["peers"]),
    ]
    assert len(shown) == 6
    for run in shown:
        whole = f"{100 * run['after']['seen']['whole']:.1f} %"
        assert f"| {run['train_s']:.1f} s | {whole} | {run['s_to_90']:.1f} s |" in text
