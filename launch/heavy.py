"""The commands whose work is done by heavy modules, in processes of their own: all that need Spark or PyTorch."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from command.machine import count_gpus, crowd_text, gpus
from command.settings import check_settings, given_settings, setting
from contract.errors import UserError
from contract.manifest import read_manifest
from launch.argv import module_argv, train_argv
from launch.processes import become_module, require_installed, run_module
from launch.training.coordinator import train_parts
from spark_jobs.config import PrepareConfig
from trainer.answers.settings import AskConfig, EvaluateConfig
from trainer.bases.source import find_base, require_base
from trainer.config import SMOLLM2_BASE, TINY_BASE, RecallConfig, TrainConfig, parse_data
from trainer.runs.copies import fetch_run
from trainer.runs.settings import load_train_config, require_run, settings_of_run
from trainer.serving.settings import ServeConfig

_TRAIN: Final = ("torch", "train")
_NO_GPU: Final = (
    "no GPU is visible, so {base} is trained on the CPU, which is slow: --base smollm2 is small enough for that; in a"
    " notebook service, choose a GPU for the runtime and begin again"
)
# bitsandbytes 0.50 asks torch to compile four functions when it is imported, which takes a second for nothing.
_WITHOUT_COMPILING: Final = {"TORCHDYNAMO_DISABLE": "1"}
_RESUME: Final = "; --resume goes on from the last checkpoint"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How the module that does the work is started."""

    dry_run: bool = setting(False, help="print the command that would run, and run nothing", changes="nothing")


@dataclass(frozen=True, kw_only=True)
class LaunchTraining(Launch):
    """How training is started, on one or several processes."""

    num_processes: int | None = setting(
        None, help="number of processes, or of parts at once, one a GPU (default: all GPUs)", least=1, changes="nothing"
    )
    cpu: bool = setting(False, help="train on the CPU, even where there are GPUs", changes="nothing")
    accelerate: tuple[str, ...] = ()  # further arguments of `accelerate launch`, which stand after `--`

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError."""
        check_settings(self)


def prepare(config: PrepareConfig, launch: Launch) -> int:
    """Runs the preparation on Spark."""
    argv = module_argv("spark_jobs.prepare", config)
    return run_module(argv, command="prepare", dry_run=launch.dry_run, needs=("pyspark", "spark"))


def load_training(*, file: str | None, overrides: Mapping[str, Any]) -> TrainConfig:
    """The settings of a training. A run that is to be resumed and is not on this machine is fetched first."""
    match given_settings(file=file, overrides=overrides):
        case {"resume": True, "run": str(run), "copy_to": str(copy_to)}:
            fetch_run(copy_to, Path(run))
    return load_train_config(file=file, overrides=overrides)


def train(config: TrainConfig, launch: LaunchTraining) -> int:
    """Runs the training on Accelerate."""
    _require_data(config.data)
    require_base(config.base)
    num_gpus = 0 if launch.cpu else count_gpus()
    is_small = config.base in (SMOLLM2_BASE, TINY_BASE) or Path(config.base).exists()  # or nobody knows how large
    if not (num_gpus or launch.cpu or launch.dry_run or is_small):
        print(_NO_GPU.format(base=config.base), file=sys.stderr)
    if warning := crowd_text(launch.num_processes or 1, gpus=num_gpus):
        print(f"warning: {warning}", file=sys.stderr)
    num_processes = launch.num_processes or max(1, num_gpus)
    if config.parts > 1:
        if launch.accelerate:
            raise UserError(
                f"{launch.accelerate[0]}: no part needs 'accelerate launch'; leave out what stands after --"
            )
        require_installed(*_TRAIN)
        return train_parts(config, gpus=[] if launch.cpu else gpus(), num_at_once=num_processes, dry_run=launch.dry_run)
    argv = train_argv(config, num_processes=num_processes, use_cpu=not num_gpus, accelerate=launch.accelerate)
    environment = {} if num_gpus else {"ACCELERATE_USE_CPU": "true"}
    return run_module(
        argv, command="train", dry_run=launch.dry_run, needs=_TRAIN, environment=environment, advice=_RESUME
    )


def ask(config: AskConfig, launch: Launch) -> int:
    """Asks a trained model a question, or many."""
    _require_run(Path(config.run))
    _require_data(config.ground or ())
    argv = module_argv("trainer.answers.answer", config)
    return run_module(argv, command="ask", dry_run=launch.dry_run, needs=_TRAIN, environment=_WITHOUT_COMPILING)


def serve(config: ServeConfig, launch: Launch) -> int:
    """Answers over HTTP. The server takes the place of this process: signals reach it, and its exit code counts."""
    _require_run(Path(config.run))
    _require_data(config.ground or ())
    argv = module_argv("trainer.serving.server", config)
    if launch.dry_run:
        print(shlex.join(argv))
        return 0
    for package, extra in (_TRAIN, ("fastapi", "serve"), ("uvicorn", "serve"), ("prometheus_client", "serve")):
        require_installed(package, extra)
    return become_module(argv)


def recall(config: RecallConfig, launch: Launch) -> int:
    """Measures what a trained run gives back word for word."""
    _require_run(Path(config.run))
    argv = module_argv("trainer.recall.recall", config)
    return run_module(argv, command="recall", dry_run=launch.dry_run, needs=_TRAIN)


def evaluate(config: EvaluateConfig, launch: Launch) -> int:
    """Compares answers before and after training with the truth, and makes a page of it."""
    _require_run(Path(config.run))
    argv = module_argv("trainer.evaluation.evaluate", config)
    return run_module(argv, command="evaluate", dry_run=launch.dry_run, needs=_TRAIN, environment=_WITHOUT_COMPILING)


def _require_data(data: Sequence[str]) -> None:
    """Raises UserError where there is no such data set, before anything heavy is loaded."""
    for text in data:
        read_manifest(parse_data(text)[0])


def _require_run(run: Path) -> None:
    """Raises UserError where there is no such run, or its base is a file that is missing."""
    require_run(run)
    find_base(settings_of_run(run).get("base", ""))
