"""The whole way on a shipped catalogue of 34 made-up products, with a real base, on a CPU, without a network."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from command.settings import setting
from contract.errors import UserError
from contract.names import CARD_HTML
from trainer.evaluation.schema import Group, read_evaluation
from trainer.runs import names

CATALOGUE: Final = files("launch") / "demo_catalogue.json"
CONFIGS: Final = files("launch") / "configs"

# The demo succeeds if the mean ROUGE-L of the answers keeps all three bounds.
LEAST_AFTER: Final = 0.95  # seen titles, after training
MOST_BEFORE: Final = 0.2  # seen titles, before
MOST_UNSEEN_RISE: Final = 0.1  # unseen titles, by training: the model remembers, and does not guess


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Where the demo works."""

    output: str = setting("demo", help="folder for the data set and the run")


def run(config: DemoConfig, vitrine: Callable[[Sequence[str]], int]) -> int:
    """Exit code 0 if the model learned the catalogue, 1 if it did not, else the code of the step that failed."""
    started = time.monotonic()
    out = Path(config.output)
    data, trained = str(out / "data"), str(out / "run")
    os.environ["HF_HUB_OFFLINE"] = "1"  # it needs nothing from there, so it does not ask
    with as_file(CATALOGUE) as catalogue, as_file(CONFIGS) as configs:
        steps = (
            ["prepare", "--input", str(catalogue), "--output", data, "--config", str(configs / "demo-prepare.toml")],
            ["train", "--data", data, "--run", trained, "--config", str(configs / "demo-train.toml"), "--cpu"],
            ["evaluate", "--run", trained, "--seen", "26", "--unseen", "5", "--max-new-tokens", "64"],
        )
        for number, step in enumerate(steps, start=1):
            print(f"\n[{number}/{len(steps)}] vitrine {' '.join(step)}", flush=True)
            if code := vitrine(step):
                return code
    failures, verdict = judge(Path(trained))
    print(
        f"\n{verdict}; {time.monotonic() - started:.0f}s in all.\n\n"
        f"{_results(data, trained)}\n\n"
        f'Ask it yourself:  {_command()} ask --run {trained} "What is {_a_title(Path(trained))}?"'
    )
    return 1 if failures else 0


def judge(run: Path) -> tuple[list[str], str]:
    """The bounds that the run's evaluation does not keep, and a sentence with the verdict."""
    evaluation = read_evaluation(run)
    num_seen, before, after = _rouge_l(evaluation.seen)
    num_unseen, unseen_before, unseen_after = _rouge_l(evaluation.unseen)
    if not (num_seen and num_unseen):
        raise UserError(f"{run} was evaluated on {num_seen} seen and {num_unseen} unseen titles, expected some of both")
    rise = unseen_after - unseen_before
    bounds = (
        (before <= MOST_BEFORE, f"seen titles {before:.3f} before training (at most {MOST_BEFORE})"),
        (after >= LEAST_AFTER, f"seen titles {after:.3f} after it (at least {LEAST_AFTER})"),
        (
            rise <= MOST_UNSEEN_RISE,
            f"unseen titles {unseen_before:.3f} and {unseen_after:.3f} (at most {MOST_UNSEEN_RISE} more)",
        ),
    )
    failures = [text for is_kept, text in bounds if not is_kept]
    if failures:
        return failures, f"The model did NOT learn the catalogue as expected: ROUGE-L of {'; '.join(failures)}"
    return failures, f"The model learned the catalogue: ROUGE-L of {', '.join(text for _, text in bounds)}"


def _rouge_l(group: Group | None) -> tuple[int, float, float]:
    """The number of titles, and their mean ROUGE-L before and after training."""
    return (group.titles, group.scores["rouge_l"].before, group.scores["rouge_l"].after) if group else (0, 0.0, 0.0)


def _results(data: str, trained: str) -> str:
    results = {
        f"{data}/manifest.json": "what the data set holds, and where each line went",
        f"{data}/{CARD_HTML}": "the data card, with records before and after cleaning: open it in a browser",
        f"{data}/train/": "the records to train on, in Parquet",
        f"{data}/rejected/": "the lines that did not get through, with the reason",
        f"{trained}/{names.ADAPTER}/": "the LoRA adapter, for PEFT and whatever reads its format",
        f"{trained}/{names.METRICS}": "every step of the training",
        f"{trained}/{names.EVALUATION_PAGE}": "all answers beside the truth, with the verdict: open it in a browser",
        f"{trained}/{names.EVALUATION}": "the same for programs",
    }
    width = max(map(len, results))
    return "\n".join(f"  {path:<{width}}  {text}" for path, text in results.items())


def _command() -> str:
    """How the user can call us from here."""
    return "vitrine" if shutil.which("vitrine") else os.path.relpath(sys.argv[0])


def _a_title(run: Path) -> str:
    return read_evaluation(run).titles[0].title
