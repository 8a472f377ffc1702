"""The whole way on a shipped catalogue of a few hundred made-up products, on a CPU, without a network."""

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
from trainer.answers.comparison import SEEN, mean_rouge_l, read_comparisons
from trainer.runs import names

CATALOGUE: Final = files("launch") / "demo_catalogue.json"
CONFIGS: Final = files("launch") / "configs"

# The demo succeeds if the mean ROUGE-L of the seen titles' answers is at least and at most this much.
LEAST_AFTER: Final = 0.5
MOST_BEFORE: Final = 0.15


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
            ["evaluate", "--run", trained, "--seen", "10", "--unseen", "5", "--max-new-tokens", "96"],
        )
        for number, step in enumerate(steps, start=1):
            print(f"\n[{number}/{len(steps)}] vitrine {' '.join(step)}", flush=True)
            if code := vitrine(step):
                return code
    before, after = seen_scores(Path(trained))
    has_learned, verdict = judge(before, after)
    print(
        f"\n{verdict}; {time.monotonic() - started:.0f}s in all.\n\n"
        f"{_results(data, trained)}\n\n"
        f'Ask it yourself:  {_command()} ask --run {trained} "What is {_a_title(Path(trained))}?"'
    )
    return 0 if has_learned else 1


def judge(before: float, after: float) -> tuple[bool, str]:
    """Whether these scores of seen titles mean that the model learned them, and a sentence that says so."""
    has_learned = after >= LEAST_AFTER and before <= MOST_BEFORE
    return has_learned, (
        f"The model {'learned' if has_learned else 'did NOT learn'} the catalogue: ROUGE-L of seen titles {before:.3f}"
        f" before (at most {MOST_BEFORE}), {after:.3f} after (at least {LEAST_AFTER})"
    )


def _results(data: str, trained: str) -> str:
    results = {
        f"{data}/manifest.json": "what the data set holds, and where each line went",
        f"{data}/train/": "the records to train on, in Parquet",
        f"{data}/rejected/": "the lines that did not get through, with the reason",
        f"{trained}/{names.ADAPTER}/": "the LoRA adapter, for PEFT and whatever reads its format",
        f"{trained}/{names.METRICS}": "every step of the training",
        f"{trained}/{names.EVALUATION}": "the table above",
    }
    width = max(map(len, results))
    return "\n".join(f"  {path:<{width}}  {text}" for path, text in results.items())


def seen_scores(run: Path) -> tuple[float, float]:
    """Mean ROUGE-L of the seen titles' answers, before and after training."""
    num, before, after = mean_rouge_l(read_comparisons(run), split=SEEN)
    if not num:
        raise UserError(f"{run} was evaluated on no seen title")
    return before, after


def _command() -> str:
    """How the user can call us from here."""
    return "vitrine" if shutil.which("vitrine") else os.path.relpath(sys.argv[0])


def _a_title(run: Path) -> str:
    return read_comparisons(run)[0].title
