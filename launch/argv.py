"""What a command runs, as argument lists: pure functions of the settings."""

import sys
from collections.abc import Sequence
from typing import Any, Final

from command.machine import count_cores
from command.options import to_argv
from trainer.config import TrainConfig

_ACCELERATE: Final = "accelerate.commands.launch"


def module_argv(module: str, settings: Any) -> list[str]:
    """A module of ours, in this interpreter."""
    return [sys.executable, "-m", module, *to_argv(settings)]


def train_argv(config: TrainConfig, *, num_processes: int, use_cpu: bool, accelerate: Sequence[str] = ()) -> list[str]:
    """`accelerate launch` of the trainer, one process a GPU. What is in `accelerate` goes to it as it stands."""
    # `--cpu` means one process to Accelerate 1.15, whatever number it is given; several need `--multi_gpu`, also where
    # its environment says that there is no GPU to be used. Without a number of threads it gives each process one.
    devices = ["--multi_gpu"] if num_processes > 1 else ["--cpu"] if use_cpu else []
    if use_cpu:
        devices += ["--num_cpu_threads_per_process", str(max(1, count_cores() // num_processes))]
    # Said in full, or Accelerate warns of every default that it takes.
    fixed = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--quiet"]
    launcher = [sys.executable, "-m", _ACCELERATE, "--num_processes", str(num_processes)]
    return [*launcher, *devices, *fixed, *accelerate, "-m", "trainer.train", *to_argv(config)]


def in_one_line(argv: Sequence[str]) -> list[str]:
    """The same command, but what a user's mistake ends says so in one line."""
    return ["launch.training.accelerated" if argument == _ACCELERATE else argument for argument in argv]
